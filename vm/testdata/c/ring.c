// A ring buffer, by all ways in.
#include "program.h"

struct event { u32 kind, size; u64 value; };

struct { NUMBER(type, RINGBUF); NUMBER(max_entries, 4096); } events SEC(".maps");

u64 results[16];

SEC("socket") int records(struct __sk_buff *skb)
{
	struct event *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (e) {
		e->kind = 1;
		e->size = skb->len;
		e->value = 11;
		ringbuf_submit(e, 0);
	}
	e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (e) {
		e->kind = 2;
		ringbuf_discard(e, 0);
	}
	struct event here = { 3, 4, 5 };
	results[0] = -ringbuf_output(&events, &here, sizeof(here), 0);
	results[1] = ringbuf_query(&events, 0);
	results[2] = ringbuf_query(&events, 1);
	results[3] = ringbuf_query(&events, 3);
	void *big = ringbuf_reserve(&events, 8000, 0);
	results[4] = big == 0;
	if (big)
		ringbuf_discard(big, 0);
	results[5] = -ringbuf_output(&events, &here, sizeof(here), 4);
	return 0;
}

SEC("socket") int dynptrs(struct __sk_buff *skb)
{
	struct bpf_dynptr ring, local;
	struct event here = { 7, 8, 9 }, there = {};
	results[0] = -ringbuf_reserve_dynptr(&events, sizeof(here), 0, &ring);
	results[1] = -dynptr_write(&ring, 0, &here, sizeof(here), 0);
	results[2] = -dynptr_write(&ring, 8, &here, sizeof(here), 0);
	results[3] = -dynptr_read(&there, 8, &ring, 8, 0);
	results[4] = there.kind;
	u64 *p = dynptr_data(&ring, 8, 8);
	if (p)
		*p = 77;
	results[5] = dynptr_data(&ring, 12, 8) == 0;
	ringbuf_submit_dynptr(&ring, 0);
	results[6] = -ringbuf_reserve_dynptr(&events, 100000, 0, &ring);
	ringbuf_discard_dynptr(&ring, 0);
	u64 *m = results;
	results[7] = -dynptr_from_mem(m, sizeof(results), 0, &local);
	results[8] = -dynptr_read(&there, 16, &local, 24, 0);
	results[9] = there.value;
	results[10] = -dynptr_from_mem(m, sizeof(results), 1, &local);
	results[11] = -dynptr_read(&there, 16, &local, 0, 0);
	return 0;
}
