/* The highest rate at which a path loses nothing: RFC 2544's search. */
#ifndef BENCH_NET_SEARCH_H
#define BENCH_NET_SEARCH_H

/* values[] of measure_net */
enum net_value {
    NET_LOSS_FREE = 0, /* frames/s; 0: it lost some at every rate tried */
    NET_OFFERED = 1,   /* that the generator reached as fast as it could */
    NET_TRIALS = 2,
    NET_REPEATED = 3, /* of them: lost frames in a stall that explains it, and were made again */
    NET_VALUES = 4
};

#endif
