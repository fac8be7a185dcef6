/* `sluice gen ..`: the generator is a program of its own, because it links DPDK. */
#ifndef TOOLS_GEN_H
#define TOOLS_GEN_H

/* Becomes sluice-gen with these arguments; returns only if it is not there. */
int command_gen(int argc, char **argv);

#endif
