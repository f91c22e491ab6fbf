/* Every kind of variable and extern that a loader completes. */
typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(x) __attribute__((section(x),used))
struct { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[64]; } counts SEC(".maps");
int global_bss; static int static_bss; int global_data = 5; static int sdata = 7; const volatile int ro = 3;
static const char fmt[] = "hello"; int hidden __attribute__((visibility("hidden"))) = 9; int weakv __attribute__((weak));
#define XSEC(x) __attribute__((section(x)))
extern u32 LINUX_KERNEL_VERSION XSEC(".kconfig"); extern char CONFIG_X XSEC(".kconfig"); extern u64 CONFIG_Y XSEC(".kconfig") __attribute__((weak));
extern const void init_task XSEC(".ksyms"); extern void bpf_rcu_read_lock(void) XSEC(".ksyms"); extern int bpf_foo(int) XSEC(".ksyms") __attribute__((weak));
enum neg { MINUS = -1, P = 1 }; enum big { BIG = 1ULL << 40 }; 
__attribute__((noinline)) int sub(int x) { return x * static_bss + hidden; }
SEC("kprobe/x") int prog(void *ctx) { bpf_rcu_read_lock(); static int local; local++; static_bss++; global_bss += sdata + ro + weakv; sdata++; volatile enum neg n = MINUS; volatile enum big b = BIG; 
 u64 r = LINUX_KERNEL_VERSION + CONFIG_X + CONFIG_Y + (u64)&init_task + (u64)&counts + n + b; r += global_data; if (bpf_foo) r += bpf_foo(1); return sub(r) + fmt[r & 3]; }
char LICENSE[] SEC("license") = "GPL";
