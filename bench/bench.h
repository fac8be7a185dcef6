/* The subcommands of sluice-bench, one file per question. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

enum bench_exit {
    BENCH_DONE = 0,
    BENCH_FAILED = 1, /* a frame came out wrong, a measurement failed, something is worse than it was, it was
                         interrupted, or this machine has one core */
    BENCH_USAGE = 2
};

/* `argv[0]` is the subcommand. enum bench_exit. */
int bench_ring(int argc, char **argv);
int bench_control(int argc, char **argv);
int bench_net(int argc, char **argv);
int bench_daq(int argc, char **argv);
int bench_record(int argc, char **argv);
int bench_readers(int argc, char **argv);
int bench_all(int argc, char **argv);

#endif
