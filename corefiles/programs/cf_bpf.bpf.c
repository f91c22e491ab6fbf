// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Programs and maps with BTF of their own: what a debugger should name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum cf_verdict { CF_VERDICT_PASS = 1, CF_VERDICT_DROP = 2 };

struct cf_key {
	__u32 cpu;
	__u32 length;
};

struct cf_value {
	__u64 packets;
	__u64 bytes;
	enum cf_verdict last;
	char note[12];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct cf_key);
	__type(value, struct cf_value);
} cf_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct cf_value);
} cf_totals SEC(".maps");

struct cf_config {
	__u32 limit;
	__u32 flags;
} cf_config = { 1500, 3 };

static __noinline int cf_count(struct __sk_buff *skb, struct cf_key *key)
{
	struct cf_value fresh = { 1, skb->len, CF_VERDICT_PASS, "first" };
	struct cf_value *value = bpf_map_lookup_elem(&cf_counters, key);

	if (!value)
		return bpf_map_update_elem(&cf_counters, key, &fresh, BPF_ANY);
	value->packets++;
	value->bytes += skb->len;
	value->last = skb->len > cf_config.limit ? CF_VERDICT_DROP : CF_VERDICT_PASS;
	return 0;
}

SEC("socket")
int cf_filter(struct __sk_buff *skb)
{
	struct cf_key key = { bpf_get_smp_processor_id(), skb->len };

	cf_count(skb, &key);
	return -1;
}

SEC("socket")
int cf_second_filter(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct cf_value *value = bpf_map_lookup_elem(&cf_totals, &zero);

	if (value)
		value->packets++;
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
