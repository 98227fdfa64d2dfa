// A counter behind a spin lock, and timers.
#include "program.h"

struct counter { struct bpf_spin_lock lock; u32 a, b; };
struct ticking { u64 rounds, key; struct bpf_timer timer; };

struct { NUMBER(type, ARRAY); TYPE(key, u32); TYPE(value, struct counter); NUMBER(max_entries, 1); } counters SEC(".maps");
struct { NUMBER(type, HASH); TYPE(key, u32); TYPE(value, struct ticking); NUMBER(max_entries, 4); } ticks SEC(".maps");

u64 results[8];

SEC("tc") int locked(struct __sk_buff *skb)
{
	u32 key = 0;
	struct counter *c = map_lookup_elem(&counters, &key);
	if (!c)
		return 1;
	spin_lock(&c->lock);
	c->a++;
	c->b = c->a * 2;
	spin_unlock(&c->lock);
	return 0;
}

static int tick(void *map, u32 *key, struct ticking *t)
{
	t->rounds++;
	t->key = *key;
	if (t->rounds < 3)
		timer_start(&t->timer, 1000000, 0);
	return 0;
}

SEC("tc") int start(struct __sk_buff *skb)
{
	u32 key = 42;
	struct ticking first = {};
	map_update_elem(&ticks, &key, &first, 0);
	struct ticking *t = map_lookup_elem(&ticks, &key);
	if (!t)
		return 1;
	results[0] = -timer_start(&t->timer, 1000000, 0);
	results[1] = -timer_init(&t->timer, &ticks, 1);
	results[2] = -timer_init(&t->timer, &ticks, 1);
	results[3] = -timer_start(&t->timer, 1000000, 0);
	results[4] = -timer_set_callback(&t->timer, tick);
	results[5] = -timer_start(&t->timer, 1000000, 0);
	return 0;
}

SEC("tc") int cancel(struct __sk_buff *skb)
{
	u32 key = 42;
	struct ticking *t = map_lookup_elem(&ticks, &key);
	if (t)
		results[6] = timer_cancel(&t->timer);
	return 0;
}
