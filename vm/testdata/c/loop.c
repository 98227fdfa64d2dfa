// Callbacks: loops, walks over maps, and what they may touch.
#include "program.h"

struct { NUMBER(type, ARRAY); TYPE(key, u32); TYPE(value, u64); NUMBER(max_entries, 10); } array SEC(".maps");
struct { NUMBER(type, HASH); TYPE(key, u32); TYPE(value, u64); NUMBER(max_entries, 32); } hash SEC(".maps");
struct { NUMBER(type, QUEUE); TYPE(value, u32); NUMBER(max_entries, 4); } queue SEC(".maps");
struct { NUMBER(type, STACK); TYPE(value, u32); NUMBER(max_entries, 4); } stack SEC(".maps");
struct { NUMBER(type, PERCPU_ARRAY); TYPE(key, u32); TYPE(value, u64); NUMBER(max_entries, 2); } percpu SEC(".maps");

struct sum { u64 value; u32 stop; };

u64 results[16];

static long add(u32 i, struct sum *s)
{
	s->value += i * i;
	return i == s->stop;
}

static long visit(void *map, u32 *key, u64 *value, struct sum *s)
{
	s->value += *key * 100 + *value;
	*value += 1;
	return *key == s->stop;
}

static long fill(u32 i, void *ctx)
{
	u32 key = i * 7 % 32;
	u64 value = i;
	map_update_elem(&hash, &key, &value, 0);
	u32 index = i % 10;
	map_update_elem(&array, &index, &value, 0);
	return 0;
}

SEC("socket") int loops(struct __sk_buff *skb)
{
	struct sum s = { 0, 1000 };
	results[0] = loop(100, add, &s, 0);
	results[1] = s.value;
	s.stop = 9;
	results[2] = loop(100, add, &s, 0);
	results[3] = loop(1 << 30, add, &s, 0);
	results[4] = loop(1, add, &s, 1);
	loop(30, fill, 0, 0);
	s.value = 0;
	s.stop = 1000;
	results[5] = for_each_map_elem(&array, visit, &s, 0);
	results[6] = s.value;
	results[7] = for_each_map_elem(&hash, visit, &s, 0);
	results[8] = s.value;
	s.stop = 4;
	results[9] = for_each_map_elem(&array, visit, &s, 0);
	return 0;
}

SEC("socket") int queues(struct __sk_buff *skb)
{
	u32 v = 1, out = 0;
	for (int i = 0; i < 5; i++) {
		v = i + 1;
		results[0] = -map_push_elem(&queue, &v, 0);
		results[1] = -map_push_elem(&stack, &v, i == 4 ? 2 : 0);
	}
	results[2] = -map_pop_elem(&queue, &out);
	results[3] = out;
	results[4] = -map_pop_elem(&stack, &out);
	results[5] = out;
	results[6] = -map_peek_elem(&stack, &out);
	results[7] = out;
	u32 key = 1;
	u64 *mine = map_lookup_elem(&percpu, &key);
	if (mine)
		*mine += 5;
	u64 *first = map_lookup_percpu_elem(&percpu, &key, 0);
	results[8] = first != 0;
	results[9] = map_lookup_percpu_elem(&percpu, &key, 100000) != 0;
	return 0;
}
