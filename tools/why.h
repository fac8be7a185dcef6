/* sluice why. Exit code. */
#ifndef TOOLS_WHY_H
#define TOOLS_WHY_H

int command_why(int argc, char **argv);

#endif
