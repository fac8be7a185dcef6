/* The highest rate at which a path loses nothing: RFC 2544's search. */
#ifndef BENCH_NET_SEARCH_H
#define BENCH_NET_SEARCH_H

/* values[] of measure_net */
enum net_value {
    NET_LOSS_FREE = 0, /* frames/s; 0: it lost some at every rate tried */
    NET_EXCUSED = 1,   /* the same, but frames may be missing that came while the receiver was stalled */
    NET_TAKEN = 2,     /* that were taken while the generator offered all it could */
    NET_OFFERED = 3,   /* that the generator reached as fast as it could */
    NET_TRIALS = 4,
    NET_REPEATED = 5, /* of them: lost frames in a stall that explains it, and were made again */
    NET_VALUES = 6
};

#endif
