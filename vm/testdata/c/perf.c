// Records for perf events.
#include "program.h"

struct { NUMBER(type, PERF_EVENT_ARRAY); NUMBER(key_size, 4); NUMBER(value_size, 4); NUMBER(max_entries, 8); } events SEC(".maps");

u64 results[5];

SEC("xdp") int sends(struct xdp_md *ctx)
{
	char data[4] = "abcd";
	results[0] = -perf_event_output(ctx, &events, 0xffffffff, data, 4);
	results[1] = -perf_event_output(ctx, &events, 0xffffffffULL | 5ULL << 32, data, 4);
	results[2] = -perf_event_output(ctx, &events, 0xffffffffULL | 500ULL << 32, data, 4);
	results[3] = -perf_event_output(ctx, &events, 1, data, 4);
	results[4] = -perf_event_output(ctx, &events, 100, data, 4);
	return 2;
}
