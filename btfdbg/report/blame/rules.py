"""Which functions are never to blame, as data: one row per family of names.

Owns the table and nothing else; rules are read by match.py and used by choice.py.
To add one, add a row with a sample: the tests hold every row to its sample, and to the
name beside it that must be kept.

A row's ``names`` are shell patterns over whole names, separated by blanks (``#`` is a
hex digit). They are matched after the compiler's suffixes (``.isra.0``, ``.cold``) and
leading underscores are taken off: ``mutex_lock*`` covers ``__mutex_lock.constprop.0``.
A function is judged by its name wherever it lives: what is built in here is a module there.

``use`` is what a match means:

``skip``    the function works for its caller or reports what the caller did: go on;
``wait``    the same for stacks of tasks that wait;
``shared``  a wait in which all waiters have one cause: this function is the answer;
``tick``    the interrupt by which a stall was noticed, not the stall;
``tick-way`` on the way from an interrupt to that, meaningless without it;
``entry``   the stub under which an interrupt or a fault entered the kernel;
``anchor``  calls whatever is registered: the function just above it is the answer;
``anchor-self`` the answer itself in a stall, wherever it stands;
``fault``   an anchor only where nothing lies under it but user space.

Where is it? ``btfdbg signature CORE --why`` prints the ``id`` of the rule behind each frame.
The rows stand in chapters, each begun by a comment:

* what reports: stacks, warnings, panics, KASAN and its kin, tracing
* how a fault enters the kernel: by architecture
* locks, counts, atomics: lockdep too
* memory: allocators, memcpy and strings, copies from and to users
* containers: lists, trees, XArrays, socket buffers
* printing
* timers, work, waiting: scheduler, completions, RCU
* the device model and other layers that act for a caller: kobjects, files, network, USB, MMIO
* only where a task waits: ``wait``
* waits whose waiters all have one cause: ``shared``
* where a stall was noticed: ``tick``, ``tick-way``, ``entry``
* what calls whatever is registered: ``anchor``, ``anchor-self``, ``fault``

Facts: names of functions of Linux 3.10 to 7.0.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One family of functions.

    ``arch`` is empty for all; ``sample`` is a function that the row is for, ``keep`` one
    beside the family that must not match it.
    """

    id: str
    use: str
    arch: str
    names: str
    why: str
    sample: str
    keep: str = ""


_ROWS = (
    # ---- what reports -------------------------------------------------------------------------
    Rule(
        "print-stack", "skip", "",
        "dump_stack* show_stack* show_trace* show_regs* dump_backtrace* dump_trace* "
        "printk_stack_address walk_stackframe* unwind_backtrace c_backtrace show_registers "
        "print_trace sched_show_task dump_cpu_task dump_header show_workqueue* show_state_filter "
        "arch_show_regs show_free_areas show_mem show_mem_node_skip print_modules "
        "print_tainted* show_iret_regs show_opcodes show_code show_stack_log_lvl show_pte "
        "show_data dump_instr dump_mem print_vma_addr show_backtrace show_raw_backtrace "
        "show_stacktrace print_stack_trace stack_trace_print debug_show_all_locks",
        "prints a stack", "dump_stack_lvl", "unwind_start",
    ),
    Rule(
        "save-stack", "skip", "",
        "save_stack save_stack_trace* arch_stack_walk* stack_trace_save* "
        "stack_trace_consume_entry save_trace stack_depot_* depot_* set_track* kasan_save_* "
        "walk_stack* kernel_text_address is_bpf_text_address is_module_text_address "
        "is_module_address unwind_get_return_address unwind_next_frame bpf_address_lookup "
        "in_entry_stack get_stack_info* stack_access_ok filter_irq_stacks in_sched_functions "
        "in_lock_functions in_irq_stack on_accessible_stack unwind_recover* orc_find "
        "save_context_stack rethook_trampoline_handler",
        "records a stack for a debugging aid", "stack_trace_save",
    ),
    Rule(
        "warn", "skip", "",
        "warn warn_slowpath_* warn_printk report_bug* handle_bug fixup_bug is_valid_bugaddr* "
        "bug_handler bug_brk_handler cfi_* warn_thunk_thunk WARN_* warn_args WARN_trap "
        "add_taint get_taint find_bug bug_get_file_line generic_bug_* handle_trap_bug "
        "reserved_fault_brk_handler refcount_report_error print_bad_pte print_bad_page_map",
        "turns a BUG or WARN into a report", "warn_slowpath_fmt", "warn_alloc_show_mem",
    ),
    Rule(
        "panic", "skip", "",
        "panic vpanic panic_* nmi_panic* crash_kexec* machine_kexec* machine_crash_shutdown "
        "check_panic_on_warn try_check_panic oops_* die die_* notify_die notifier_call_chain "
        "atomic_notifier_call_chain* rust_helper_BUG rust_helper_WARN* crash_save_cpu "
        "machine_restart emergency_restart smp_send_stop* kmsg_dump* bust_spinlocks "
        "console_flush_on_panic make_task_dead rewind_stack_do_exit rewind_stack_and_make_dead "
        "raw_notifier_call_chain_robust",
        "carries out a panic or an oops", "panic",
    ),
    Rule(
        "kasan", "skip", "",
        "kasan_* kasan asan_* hwasan_* khwasan_* check_memory_region* memory_is_* "
        "check_region_inline print_address_description* print_report print_shadow_* end_report "
        "start_report report_enabled kasan_report* describe_* poison_slab_object "
        "unpoison_slab_object object_err slab_err print_trailer print_section quarantine_put "
        "mte_check_* mte_sync_tags mte_clear_page_tags mte_copy_page_tags quarantine_reduce "
        "quarantine_remove_cache qlink_free addr_has_metadata addr_has_shadow "
        "check_inline_region report_tag_fault",
        "KASAN's own check or report", "kasan_check_range", "qlist_free_all",
    ),
    Rule(
        "kmsan", "skip", "",
        "kmsan_* msan_*",
        "KMSAN's own check or report", "__msan_warning",
    ),
    Rule(
        "kcsan", "skip", "",
        "kcsan_* tsan_* set_reset_present_flag read_instrumented_memory "
        "write_instrumented_memory",
        "KCSAN's own check or report", "__tsan_read8",
    ),
    Rule(
        "kfence", "skip", "",
        "kfence_* check_canary* set_canary* metadata_update_state guarded_free",
        "KFENCE's own check or report", "kfence_report_error",
    ),
    Rule(
        "ubsan", "skip", "",
        "ubsan_* handle_overflow val_to_string",
        "UBSAN's own check or report", "__ubsan_handle_out_of_bounds",
    ),
    Rule(
        "coverage", "skip", "",
        "sanitizer_cov_* sancov_* write_comp_data check_kcov_mode kcov_remote_* fentry__ "
        "fentry mcount ftrace_caller ftrace_regs_caller ftrace_call ftrace_graph_caller "
        "ftrace_return_to_handler return_to_handler fexit cyg_profile_*",
        "compiled in for coverage or tracing", "__sanitizer_cov_trace_pc",
    ),
    Rule(
        "bpf-program", "skip", "",
        "bpf_prog_################* bpf_prog_run* bpf_dispatcher_* bpf_trampoline_*",
        "a BPF program and what runs it", "bpf_prog_6deef7357e7b4530_f", "bpf_prog_array_copy_info",
    ),
    Rule(
        "thunk", "skip", "x86",
        "x86_indirect_thunk_* x86_return_thunk x86_call_thunk* x86_indirect_* retbleed_* "
        "srso_* zen_untrain_ret clear_bhb_loop bpf_dispatcher_nop_func",
        "a jump through a pointer of its caller", "__x86_indirect_thunk_rax",
    ),
    Rule(
        "tracepoint", "skip", "",
        "trace_event_raw_event_* perf_trace_* bpf_trace_* traceiter_* trace_event_buffer_* "
        "perf_tp_event perf_trace_run_bpf_submit trace_call_bpf perf_event_overflow do_trace_* "
        "probestub_* ftrace_ops_list_func ftrace_ops_assist_func function_trace_call "
        "function_graph_enter* prepare_ftrace_return ftrace_graph_func kprobe_ftrace_handler "
        "kretprobe_trampoline* arch_rethook_trampoline* perf_prepare_sample perf_callchain* "
        "get_perf_callchain perf_swevent_event perf_output_sample perf_event_output* "
        "ring_buffer_lock_reserve ring_buffer_unlock_commit rb_reserve_next_event "
        "tracing_gen_ctx_* trace_lock_acquire trace_lock_release trace_contention_*",
        "a tracepoint in the function that is meant", "perf_trace_lock_acquire",
    ),
    Rule(
        "fault-injection", "skip", "",
        "should_fail* fault_create_debugfs_attr fail_dump",
        "fails an allocation on purpose, for tests", "should_failslab",
    ),
    Rule(
        "odebug", "skip", "",
        "debug_print_object debug_object_* debug_check_no_obj_freed debug_timer_* "
        "debug_hrtimer_* debug_work_* debug_rcu_head_* debug_objects_* *_is_static_object "
        "lookup_object_or_alloc fill_pool",
        "the object debugger's own check", "debug_print_object",
    ),
    Rule(
        "fortify", "skip", "",
        "fortify_panic fortify_report usercopy_abort usercopy_warn check_object_size "
        "check_heap_object report_usercopy kmem_cache_user check_bogus_address "
        "check_stack_object copy_overflow check_copy_size stack_chk_fail read_overflow* "
        "write_overflow* bad_copy_*",
        "a hardening check on behalf of its caller", "usercopy_abort",
    ),
    # ---- how a fault enters the kernel --------------------------------------------------------
    Rule(
        "fault-x86", "skip", "x86",
        "page_fault_oops no_context bad_area* no_context* pgtable_bad show_fault_oops "
        "do_page_fault* handle_page_fault* async_page_fault trace_page_fault "
        "trace_do_page_fault do_async_page_fault spurious_kernel_fault do_kern_addr_fault "
        "do_trap* do_error_trap do_invalid_op do_general_protection do_divide_error do_int3 "
        "do_debug do_stack_segment do_double_fault do_alignment_check general_protection "
        "divide_error invalid_op double_fault stack_segment int3 debug coprocessor_error "
        "simd_coprocessor_error device_not_available alignment_check df_debug exc_* asm_exc_* "
        "asm_common_interrupt gp_try_fixup_and_notify gp_user_force_sig_segv error_code "
        "error_entry paranoid_entry error_exit math_error fixup_exception ex_handler_* "
        "handle_stack_overflow handle_exception_return",
        "x86's way from a fault to its report", "asm_exc_general_protection", "debugfs_create_file",
    ),
    Rule(
        "fault-arm64", "skip", "arm64",
        "do_mem_abort do_translation_fault do_page_fault do_bad_area do_bad do_sea "
        "do_tag_check_fault do_kernel_fault do_alignment_fault do_sp_pc_abort "
        "do_debug_exception do_undefinstr do_el1_undef do_el1_fpac do_el1_bti do_el1_brk64 "
        "do_brk64 brk_handler call_break_hook call_el1_break_hook single_step_handler "
        "do_serror do_serror* arm64_notify_die arm64_serror_panic arm64_force_sig_fault "
        "el1_abort el1_dbg el1_da el1_undef el1_pc el1_bti el1_fpac el1_inv el1_brk64 "
        "el1_sync el1_sync_handler el1_error el1_error_handler el1_breakpt el1_softstp "
        "el1h_64_sync el1h_64_sync_handler el1t_64_sync* el1h_64_error* el1t_64_* bad_mode "
        "vectors tramp_vectors handle_bad_stack bad_stack call_undef_hook do_cp15instr "
        "do_sysinstr do_ptrauth_fault "
        "arm64_enter_el1_dbg arm64_exit_el1_dbg entry_ftrace die_kernel_fault "
        "dump_kernel_instr",
        "arm64's way from a fault to its report", "el1h_64_sync_handler", "el1_copy",
    ),
    Rule(
        "fault-arm", "skip", "arm",
        "dabt_svc pabt_svc und_svc do_DataAbort do_PrefetchAbort do_undefinstr do_DataAbort* "
        "do_translation_fault do_sect_fault do_kernel_fault do_page_fault und_fault "
        "dabt_invalid pabt_invalid arm_notify_die baddataabort div0 Ldiv0*",
        "arm's way from a fault to its report", "__und_svc",
    ),
    Rule(
        "fault-s390", "skip", "s390x",
        "do_pgm_check pgm_check_handler pgm_check do_dat_exception do_protection_exception "
        "do_exception handle_fault_error* illegal_op data_exception addressing_exception "
        "kernel_stack_overflow kernel_stack_invalid do_report_trap do_no_context "
        "do_asce_exception monitor_event_exception default_trap_handler s390_handle_mcck "
        "pgm_no_vtime stack_overflow do_secure_storage_access",
        "s390's way from a fault to its report", "__do_pgm_check",
    ),
    Rule(
        "fault-ppc", "skip", "ppc64",
        "do_page_fault do_page_fault* bad_page_fault do_bad_page_fault_segv handle_page_fault "
        "data_access_common* data_access_exception data_access_slb_common* "
        "instruction_access_common* instruction_access_slb_common* program_check_exception "
        "program_check_common* do_program_check alignment_exception alignment_common* "
        "unknown_exception exception_common kernel_bad_stack hash__do_page_fault "
        "do_hash_fault do_hash_page do_slb_fault do_bad_slb_fault interrupt_return* "
        "fast_interrupt_return* ret_from_except* ret_from_fault bad_stack_fault "
        "restore_syscall* kernel_access_error bug_end",
        "powerpc's way from a fault to its report", "program_check_exception",
    ),
    Rule(
        "fault-riscv", "skip", "riscv64",
        "do_trap do_trap_* do_page_fault handle_exception ret_from_exception no_context "
        "die_kernel_fault handle_break bad_area handle_kernel_stack_overflow handle_bad_stack "
        "do_traps excp_vect_table* do_irq_or_trap",
        "riscv's way from a fault to its report", "handle_kernel_stack_overflow",
    ),
    Rule(
        "fault-mips-loongarch", "skip", "mips",
        "do_page_fault do_page_fault* tlb_do_page_fault_* handle_tlb* handle_ades handle_adel "
        "handle_bp handle_ri handle_tr handle_reserved handle_ade handle_ale handle_fpe "
        "handle_sys do_ade do_bp do_ri do_tr do_ale do_be handle_bce do_bce",
        "the way from a fault to its report on MIPS and LoongArch", "tlb_do_page_fault_0",
    ),
    Rule(
        "entry-code", "skip", "",
        "restore_regs_* restore_all* ret_from_intr retint_* ret_from_fork* ret_fast_syscall "
        "common_interrupt interrupt_entry swapgs_* nmi_restore end_repeat_nmi entry_stack* "
        "sync_regs irqentry_* irqentry_exit* preempt_schedule_irq "
        "raw_irqentry_exit_cond_resched error_return paranoid_exit do_softirq_own_stack "
        "exit_to_kernel_mode* enter_from_kernel_mode* arm64_preempt_schedule_irq "
        "arm64_enter_nmi arm64_exit_nmi arm64_exit_to_kernel_mode enter_from_user_mode* "
        "interrupt_enter_* nmi_enter nmi_exit irq_enter*",
        "assembly between user space, interrupts and the kernel's C", "ret_from_fork_asm",
    ),
    # ---- locks, counts, atomics ---------------------------------------------------------------
    Rule(
        "lockdep", "skip", "",
        "lock_acquire lock_acquire* lock_release lock_release* lock_acquired lock_contended "
        "lock_is_held* lock_downgrade lock_set_class lock_pin_lock lock_unpin_lock "
        "lock_repin_lock lockdep_* check_lock* validate_chain check_prev_* check_prevs_add "
        "check_noncircular check_redundant check_deadlock check_usage* check_irq_usage "
        "check_chain_key check_wait_context check_flags mark_lock* mark_usage mark_held_locks "
        "mark_irqflags register_lock_class look_up_lock_class assign_lock_key "
        "print_circular_bug* print_deadlock_bug print_usage_bug* print_irq_inversion_bug "
        "print_bad_irq_dependency print_unlock_imbalance_bug print_freed_lock_bug "
        "print_held_locks_bug print_lock_invalid_wait_context print_*_bug print_kernel_ident "
        "debug_check_no_locks_* debug_check_no_locks_freed debug_show_* add_lock_to_list "
        "valid_state mark_lock_irq lookup_chain_cache* bfs find_usage_* sched_lockdep* "
        "lock_init static_obj graph_lock debug_lockdep* reacquire_held_locks find_held_lock "
        "match_held_lock trace_hardirqs_* trace_softirqs_* hardirqs_on_caller* trace_preempt_* "
        "hlock_class hlock_equal hlock_id get_usage_chars print_lock print_lock_name "
        "print_lock_trace print_irqtrace_events print_shortest_lock_dep* usage_match "
        "usage_accumulate usage_skip zap_class add_chain_block add_chain_cache "
        "alloc_chain_hlocks free_zapped_rcu alloc_list_entry alloc_lock_chain "
        "count_matching_names iterate_chain_key check_path check_no_collision lock_sync "
        "class_equal noop_count is_dynamic_key remove_class_from_lock_chain* trace_lock_* "
        "lockstat_* rcu_lockdep_* debug_locks_off",
        "lockdep's own check or report", "print_circular_bug", "lock_mount",
    ),
    Rule(
        "spinlock", "skip", "",
        "raw_spin_* raw_read_* raw_write_* do_raw_* spin_lock* spin_trylock* spin_unlock* "
        "read_lock* read_unlock* write_lock* write_unlock* queued_spin_* native_queued_spin_* "
        "pv_queued_spin_* kvm_lock_* pv_wait* pv_kick* queued_read_* queued_write_* "
        "ticket_spin_* rt_spin_* rtlock_* rt_read_* rt_write_* spin_dump spin_bug rwlock_bug "
        "arch_spin_* arch_read_* arch_write_* raw_callee_save_* bit_spin_* osq_* mcs_spin_* "
        "queued_spin_lock_slowpath* raw_spin_rq_lock* local_lock* yield_to_* spin_yield "
        "splpar_spin_yield rt_rwlock_* lockref_* debug_spin_lock_* debug_spin_unlock "
        "hlist_bl_lock* virt_spin_lock virt_spin_lock* rwlock_* rwlock_init "
        "try_to_take_rt_mutex pv_hash pv_init_lock_hash pv_unhash hv_qlock_* xen_qlock_* "
        "xen_spin_* read_seqbegin read_seqretry write_seqlock* write_sequnlock* "
        "read_seqlock_excl* read_sequnlock_excl* seqprop_* do_write_seq* local_unlock*",
        "a spinning lock that its caller takes", "_raw_spin_lock_irqsave", "spi_sync",
    ),
    Rule(
        "sleeping-lock", "skip", "",
        "mutex_lock* mutex_trylock* mutex_unlock* mutex_spin_on_owner mutex_optimistic_spin "
        "mutex_remove_waiter mutex_can_spin_on_owner mutex_is_locked mutex_add_waiter "
        "debug_mutex_* ww_mutex_* rt_mutex_* rtmutex_* down down_read* down_write* down_trylock "
        "down_timeout down_interruptible down_killable down_common up up_read* up_write* "
        "downgrade_write* rwsem_* call_rwsem_* percpu_down_* percpu_up_* percpu_rwsem_* "
        "rwbase_* owner_on_cpu ldsem_* task_blocks_on_rt_mutex remove_waiter mutex_* "
        "futex_unqueue_pi "
        "mark_wakeup_next_waiter init_rwsem percpu_init_rwsem percpu_free_rwsem "
        "percpu_is_read_locked wake_futex_pi rt_down_* sema_init try_to_take_rt_mutex "
        "rt_mutex_slow* cpus_read_lock cpus_read_trylock cpus_read_unlock cpus_write_lock "
        "cpus_write_unlock get_online_cpus put_online_cpus get_online_mems put_online_mems "
        "cpu_hotplug_begin lock_device_hotplug*",
        "a sleeping lock that its caller takes", "rwsem_down_write_slowpath", "dquot_release",
    ),
    Rule(
        "sock-lock", "skip", "",
        "lock_sock* release_sock* unlock_sock_fast slock*",
        "the socket's lock, which its caller takes", "lock_sock_nested",
    ),
    Rule(
        "refcount", "skip", "",
        "refcount_* kref_* percpu_ref_* rust_helper_refcount_* ref_tracker_* netdev_tracker_* "
        "atomic_dec_if_positive put_pid get_pid put_task_struct* get_task_struct rcuref_* "
        "page_ref_* atomic_dec_and_* refcount_dec_and_*",
        "a counter that its caller changes", "refcount_warn_saturate",
    ),
    Rule(
        "atomics", "skip", "",
        "atomic_* atomic64_* atomic_long_* arch_atomic* raw_atomic* instrument_* cmpxchg* xchg* "
        "set_bit clear_bit test_bit test_and_* change_bit find_next_bit* find_first_* "
        "find_next_zero_bit* find_last_bit bitmap_* read_once* READ_ONCE* read_once_size* "
        "write_once_size* constant_test_bit variable_test_bit ffs fls ffsl bit_count "
        "percpu_counter_* this_cpu_* lse_* ll_sc_* find_nth_* find_next_and* find_next_or_bit "
        "cpumask_* clear_bit_unlock set_bit_le clear_bit_le test_bit_le generic_test_bit "
        "arch_test_bit arch_set_bit arch_clear_bit arch_test_and_* generic_atomic* sync_set_bit "
        "sync_clear_bit sync_test_and_* errseq_* hweight* sw_hweight* div64_* div_s64_rem "
        "udivdi3 divdi3 umoddi3 moddi3 udivmoddi4 aeabi_* int_sqrt int_pow gcd lcm",
        "an atomic or bit operation on its caller's data", "__ll_sc_atomic_add", "find_get_entry",
    ),
    # ---- memory -------------------------------------------------------------------------------
    Rule(
        "slab-alloc", "skip", "",
        "kmalloc* kzalloc* kcalloc* krealloc* kvmalloc* kvzalloc* kvcalloc* kmem_cache_alloc* "
        "kmem_cache_zalloc do_kmalloc* slab_alloc* slab_post_alloc_hook slab_pre_alloc_hook "
        "slab_out_of_memory new_slab* allocate_slab alloc_slab_page* cache_alloc* cache_grow* "
        "fallback_alloc kmem_getpages slab_get_obj get_partial* get_freepointer* freelist_* "
        "alloc_from_pcs kmemdup* kstrdup* kstrndup kmemdup_nul kasprintf kvasprintf* "
        "memdup_user* vmemdup_user strndup_user setup_object* init_object mempool_alloc* "
        "mempool_kmalloc mempool_init_node memcg_alloc_* memcg_slab_post_alloc_hook "
        "obj_cgroup_charge* kmem_alloc try_charge* mem_cgroup_charge* mem_cgroup_try_charge* "
        "obj_cgroup_* charge_memcg memcg_charge* get_obj_cgroup_from_current sock_kmalloc "
        "sock_wmalloc sock_rmalloc *kmalloc* *kzalloc* *kvmalloc* *kvzalloc* kmem_cache_* "
        "kvrealloc* vrealloc* kvmemdup* ksize kmem_alloc_* kmem_zalloc* alloc_debug_processing "
        "alloc_slab_obj_exts alloc_tagging_* check_object check_slab check_bytes_and_report "
        "check_pad_bytes restore_bytes validate_slab on_freelist init_cache_random_seq "
        "shuffle_freelist alloc_single_from_* refill_objects refill_sheaf alloc_full_sheaf "
        "alloc_empty_sheaf poison_obj slab_destroy cache_init_objs alloc_slabmgmt slob_* "
        "gen_pool_* dma_pool_* mempool_create* mempool_init* mod_objcg_* refill_obj_stock "
        "consume_obj_stock consume_stock refill_stock sock_omalloc",
        "the slab allocator, asked by its caller",
        "kmem_cache_alloc_node_noprof", "deactivate_super",
    ),
    Rule(
        "slab-free", "skip", "",
        "kfree kfree_rcu* kvfree* kvfree_* kfree_sensitive kzfree kfree_const kfree_link "
        "kmem_cache_free* slab_free* cache_free* do_slab_free free_block drain_array* "
        "free_to_partial_list free_large_kmalloc free_debug_processing kfree_hook mempool_free* "
        "kmemleak_* slab_free_hook free_to_pcs cache_flusharray* nonpaging_free cache_freed "
        "sock_kfree_s sock_kzfree_s rcu_free_slab free_slab kfree_strarray kfree_bulk "
        "vfree_atomic mempool_destroy memcg_slab_free_hook cache_reap_alien drain_alien_cache "
        "slabs_destroy rcu_free_sheaf* slab_*",
        "the slab allocator, given back to by its caller", "slab_free_freelist_hook", "free_netdev",
    ),
    Rule(
        "page-alloc", "skip", "",
        "alloc_pages* alloc_page_* get_page_from_freelist* rmqueue* prep_new_page "
        "prep_compound_page post_alloc_hook get_free_page* get_zeroed_page* alloc_frozen_pages* "
        "folio_alloc* vma_alloc_folio* alloc_pages_mpol* alloc_pages_slowpath* "
        "alloc_pages_direct_* try_to_free_pages alloc_contig_* page_frag_alloc* "
        "kernel_init_free_pages clear_highpage* bad_page* free_page_is_bad free_pages_prepare "
        "check_new_page* check_free_page* kernel_map_pages warn_alloc* expand "
        "del_page_from_free_list alloc_bulk* prep_large* free_pages* free_unref_* "
        "free_pcppages_bulk free_one_page free_hot_cold_page* free_compound_page "
        "free_frozen_pages free_tail_page_prepare put_page* folio_put* put_compound_page* "
        "free_page_and_swap_cache free_large* release_pages put_pages_list fs_reclaim_acquire* "
        "fs_reclaim_release* page_cache_alloc *alloc_pages* *folio_alloc* free_pages_ok "
        "split_page split_large_buddy free_contig_range make_alloc_exact page_frag_* "
        "set_pfnblock_* get_pfnblock_* zone_watermark_* move_freepages* steal_suitable_fallback "
        "try_to_steal_block find_suitable_fallback folios_put* pagevec_release* "
        "folio_batch_release* try_get_folio put_page_testzero page_owner_* set_page_owner* "
        "reset_page_owner page_table_check_* perform_reclaim dump_page* kernel_poison_pages "
        "kernel_unpoison_pages unpoison_page poison_page page_pool_alloc_* kunmap* kmap_atomic* "
        "kmap_high kmap_local_* phys_addr phys_addr_symbol virt_to_head_page virt_to_slab "
        "virt_to_cache",
        "the page allocator, asked by its caller", "__alloc_pages_noprof", "isolate_free_page",
    ),
    Rule(
        "vmalloc", "skip", "",
        "vmalloc* vzalloc* vfree* alloc_vmap_area vm_area_alloc* ioremap* iounmap* "
        "remove_vm_area find_vm_area find_vmap_area* purge_vmap* get_vm_area* insert_vmap* "
        "alloc_percpu* free_percpu* percpu_alloc* pcpu_alloc* vmalloc_sync_all memremap* "
        "module_alloc execmem_alloc swiotlb_* dma_alloc_* dma_free_* dma_map_* dma_unmap_* "
        "dma_sync_* debug_dma_* check_unmap check_sync add_dma_entry sg_alloc_table* "
        "sg_free_table* sg_init_* sg_next sg_miter_* sg_copy_buffer sg_pcopy_* "
        "vunmap_page_range purge_fragmented_blocks* free_vmap_area* free_unmap_vmap_area* "
        "pcpu_free_* flush_tlb_* pcpu_block_* pcpu_chunk_* pcpu_create_chunk pcpu_depopulate_* "
        "pcpu_populate_* pcpu_find_* pcpu_mem_* pcpu_memcg_* pcpu_next_* pcpu_get_* "
        "pcpu_update_* pcpu_init_md_* vmap vmap_pages* vmap_page_range* vmap_range* vmap_pfn "
        "vmap_small_pages_* vm_area_map_pages vm_area_unmap_pages vm_map_ram vm_unmap_ram "
        "vm_unmap_aliases vunmap vunmap_range* vunmap_p4d* vunmap_pud* vunmap_pmd* vunmap_pte* "
        "vcalloc* find_unlink_vmap_area unlink_va free_vm_area new_vmap_block free_vmap_block "
        "vb_alloc vb_free augment_tree_* link_va* adjust_va_to_fit_type adjust_va_to_fit_ty* "
        "merge_or_add_vmap_area* find_vmap_lowest_* clear_vm_uninitialized_flag vm_reset_perms "
        "change_page_attr* set_memory_* apply_to_page_range apply_to_pte_range "
        "dma_direct_alloc* dma_direct_free* dma_direct_map* dma_direct_unmap* dma_direct_sync* "
        "dma_common_alloc* dma_common_free* iommu_map iommu_unmap* iommu_dma_alloc* "
        "iommu_dma_free* iommu_dma_map* iommu_dma_unmap* sg_copy_* sg_pool_* sg_kmalloc "
        "sg_zero_buffer sg_nents* sgl_alloc* sgl_free* sg_last memunmap pci_iounmap pci_iomap* "
        "ioport_map ioport_unmap module_memfree execmem_free dcache_clean_* dcache_inval_* "
        "caches_clean_*",
        "the vmalloc and per-CPU allocators", "__vmalloc_node_range",
    ),
    Rule(
        "memory-functions", "skip", "",
        "memcpy* memset* memmove* memcmp* memchr* memscan bcmp memzero_explicit rep_movs* "
        "rep_stos* memcpy_orig memset_orig memset_erms memcpy_erms strlen strnlen strcpy "
        "strncpy strlcpy strscpy* strcat* strncat strlcat strcmp strncmp strcasecmp strncasecmp "
        "strchr* strrchr strstr strnstr strsep strspn strpbrk sized_strscpy copy_page "
        "clear_huge_page copy_highpage copy_user_highpage pi_memcpy* pi_memset* pi_strlen "
        "arch_memcpy* crc* csum_partial* csum_and_* do_csum checksum ip_fast_csum jhash* "
        "siphash* hsiphash* xxh* memcpy_and_pad memcpy_fromio memcpy_toio memset_io "
        "hex_dump_to_buffer print_hex_dump* skip_spaces strim mmioset mmiocpy memzero "
        "get_random_bytes* get_random_u* prandom_* bsearch sort sort_r sort_nonatomic hex2bin "
        "bin2hex match_token match_int match_u64 match_strdup match_strlcpy utf8_to_utf32 "
        "utf8s_to_utf16s utf16s_to_utf8s clear_page clear_page_erms clear_page_orig "
        "clear_page_rep copy_page_regs copy_page_rep copy_page_erms crc_* stpcpy strcspn "
        "strnchr strnchrnul strreplace memweight memcat_p pi_strnlen pi_memcmp strlen_* "
        "string_get_size string_escape_mem string_unescape match_string sysfs_match_string "
        "sysfs_streq memchr_inv clear_user_highpage* copy_user_page clear_user_page "
        "copy_mc_user_highpage zero_user_segments memcpy_flushcache ucs2_* uuid_gen uuid_parse "
        "guid_gen guid_parse generate_random_* extract_crng* extract_entropy mix_pool_bytes "
        "crng_* chacha_block* full_name_hash glob_match* match_hex match_number match_octal "
        "match_uint match_wildcard hex_to_bin folio_zero_user folio_zero_range "
        "folio_zero_segment*",
        "copies, fills or compares what its caller hands it", "memcpy_erms", "strp_data_ready",
    ),
    Rule(
        "user-copy", "skip", "",
        "*copy_from_user* *copy_to_user* copy_user_* raw_copy_* arch_copy_* clear_user* "
        "strncpy_from_user* strnlen_user* get_user_[1248] get_user_nocheck_* put_user_[1248] "
        "put_user_nocheck_* copy_in_user* copyin* copyout* *copy_from_iter* *copy_to_iter* "
        "copy_page_to_iter* copy_page_from_iter* copy_folio_* iov_iter_* iterate_and_advance* "
        "iterate_all_kinds iterate_iovec iterate_kvec iterate_bvec iterate_ubuf fault_in_* "
        "memcpy_from_iter memcpy_to_iter copy_mc_* csum_and_copy_* do_strncpy_from_user "
        "instrument_copy_* rep_movs_alternative import_iovec check_zeroed_user user_access_* "
        "uaccess_* access_ok copy_from_sockptr* copy_struct_from_* do_raw_copy_* asm_copy_* "
        "fallback_scalar_usercopy* arm_copy_* arm_clear_user copy_tofrom_user* put_cmsg* "
        "copy_from_user* copy_to_user* copy_from_iter* copy_to_iter* copy_from_kernel_nofault* "
        "copy_to_kernel_nofault* strncpy_from_kernel_nofault strncpy_from_unsafe* "
        "strnlen_unsafe* probe_kernel_* probe_user_* copy_from_user_nmi raw_get_user* "
        "raw_put_user* iovec_from_user copy_iovec_from_user copy_compat_iovec_from_user "
        "dup_iter import_single_range import_ubuf rw_copy_check_uvector compat_import_iovec "
        "extract_iter_to_sg memcpy_from_msg memcpy_to_msg put_compat_* get_compat_* "
        "simple_read_from_buffer simple_write_to_buffer",
        "copies between user space and its caller's buffer", "_copy_to_iter", "copy_net_ns",
    ),
    # ---- containers ---------------------------------------------------------------------------
    Rule(
        "lists", "skip", "",
        "list_add* list_del* list_move* list_splice* list_empty* list_replace* hlist_* klist_* "
        "llist_* plist_* rb_erase* rb_insert* rb_first* rb_next* rb_prev rb_last "
        "rb_replace_node* rb_add* rbtree_* interval_tree_* list_sort list_lru_* list_first* "
        "list_bl_* list_cut_* list_rotate* list_is_* latch_tree_* genradix_* btree_* rb_last* "
        "rb_prev* rb_link_node* rb_add_cached rb_find* rb_set_parent* rb_left_deepest_node "
        "rb_change_child*",
        "a list or tree of its caller", "__list_del_entry_valid_or_report", "list_in_list",
    ),
    Rule(
        "index-structures", "skip", "",
        "xa_* xas_* radix_tree_lookup* radix_tree_insert radix_tree_delete* "
        "radix_tree_next_chunk radix_tree_tag_* radix_tree_gang_* radix_tree_iter_* "
        "radix_tree_descend radix_tree_load_root ida_* mas_* mtree_* mt_find* mt_next mt_prev "
        "mt_dup* mt_destroy* rhashtable_* rht_* rhltable_* assoc_array_* find_get_page* "
        "find_get_entr* find_lock_entries pagecache_get_page* filemap_get_entry kfifo_* "
        "sbitmap_* grab_cache_page* find_or_create_page find_lock_page* filemap_get_folio* "
        "filemap_lock_folio filemap_grab_folio filemap_get_read_batch find_get_pages* "
        "pagevec_lookup* filemap_get_folios* add_to_page_cache* filemap_add_folio idr_alloc* "
        "idr_remove idr_find idr_replace idr_preload* idr_destroy bucket_table_* nested_table_* "
        "radix_tree_replace* radix_tree_preload radix_tree_maybe_preload* radix_tree_tagged "
        "page_cache_next_* page_cache_prev_* page_cache_delete* mab_* mast_* textsearch_*",
        "an index of its caller", "mas_store_prealloc", "radix_tree_node_alloc",
    ),
    Rule(
        "netlink-attributes", "skip", "",
        "nla_put* nla_reserve* nla_append* nla_memcpy nla_strscpy nla_strlcpy nla_memdup "
        "nla_memcmp nla_strcmp nla_find nla_get_range_* nla_strdup nlmsg_put genlmsg_put",
        "reads or writes an attribute for its caller", "nla_put_64bit", "nla_parse",
    ),
    Rule(
        "decompressors", "skip", "",
        "LZ4_* lz4_* lzo1x_* ZSTD_* HUF_* FSE_* zlib_* inflate_fast xz_dec_* lzma_* zstd_* "
        "lzogeneric1x_* lzorle1x_* xz_dec_run bcj_apply dict_repeat deflate_* longest_match",
        "decompresses what its caller hands it", "LZ4_decompress_safe", "squashfs_decompress",
    ),
    Rule(
        "skb-helpers", "skip", "",
        "kfree_skb* skb_release_* skb_put skb_push skb_pull* skb_panic skb_over_panic "
        "skb_under_panic skb_unlink skb_dequeue* skb_queue_* pskb_pull_tail pskb_expand_head "
        "skb_copy_bits kfree_skbmem sk_skb_reason_drop skb_trim dev_kfree_skb* "
        "skb_realloc_headroom skb_expand_head pskb_trim pskb_trim_* skb_free_head skb_rbtree_purge "
        "skb_pull_rcsum",
        "works on a packet for its caller", "skb_put", "consume_skb",
    ),
    # ---- printing -----------------------------------------------------------------------------
    Rule(
        "printk", "skip", "",
        "printk* vprintk* console_unlock console_flush_all console_emit_next_record "
        "console_trylock* console_cont_flush call_console_drivers wake_up_klogd* devkmsg_emit "
        "dev_vprintk_emit dev_printk* dev_err dev_warn dev_info dev_notice dev_crit dev_alert "
        "dev_emerg dev_level* netdev_printk netdev_err netdev_warn netdev_info netdev_notice "
        "netdev_level* msg_print_text log_store record_print_text down_trylock_console_sem* "
        "console_lock_spinning_* seq_printf seq_vprintf nbcon_* *_printk *_printk_level "
        "pr_flush pr_cont_* dynamic_dev_dbg dynamic_pr_debug dynamic_netdev_dbg "
        "dynamic_ibdev_dbg drm_dev_printk drm_dev_dbg drm_dbg drm_err drm_printf drm_vprintf "
        "log_output cont_flush cont_add trace_printk trace_vprintk bpf_trace_printk "
        "up_console_sem console_srcu_* ratelimit net_ratelimit printk_ratelimit* prb_reserve* "
        "prb_commit prb_final_commit prb_read_valid* prb_next_seq prb_first_valid_seq",
        "prints for its caller", "vprintk_emit", "console_lock",
    ),
    Rule(
        "format", "skip", "",
        "snprintf vsnprintf scnprintf vscnprintf sprintf vsprintf string string_nocheck number "
        "pointer format_decode sscanf vsscanf kstrto* simple_strto* simple_str* put_dec* "
        "hex_string resource_string mac_address_string ip4_string ip6_string ip6_addr_string "
        "uuid_string va_format symbol_string error_string check_pointer restricted_pointer "
        "flags_string device_node_string fwnode_string special_hex_number widen_string "
        "dentry_name file_dentry_name bdev_name dev_driver_string seq_puts seq_write seq_putc "
        "seq_escape* seq_put_decimal_* bstr_printf vbin_printf bprintf ip4_addr_string* "
        "ip6_addr_string* ip6_compressed_string ip_addr_string escaped_string fourcc_string "
        "format_flags default_pointer ptr_to_id ptr_to_hashval address_val netdev_bits "
        "num_to_str rtc_str time_str date_str time_and_date bitmap_string bitmap_list_string "
        "set_precision skip_atoi parse_integer* seq_buf_* trace_seq_* mac_pton get_option "
        "get_options memparse next_arg argv_split argv_free",
        "formats for its caller", "vsnprintf",
    ),
    # ---- timers, work, waiting ----------------------------------------------------------------
    Rule(
        "timer-api", "skip", "",
        "del_timer* mod_timer* add_timer* timer_delete* timer_shutdown* try_to_del_timer_sync "
        "internal_add_timer lock_timer_base detach_if_pending detach_timer init_timer* "
        "timer_reduce hrtimer_start* hrtimer_cancel hrtimer_try_to_cancel hrtimer_init* "
        "enqueue_hrtimer remove_hrtimer hrtimer_active hrtimer_setup* try_to_del_timer "
        "timer_fixup_* hrtimer_cancel_wait_running hrtimer_reprogram hrtimer_force_reprogram "
        "hrtimer_forward* lock_hrtimer_base debug_activate debug_deactivate enqueue_timer "
        "calc_wheel_index trigger_dyntick_cpu round_jiffies* clockevents_program_event "
        "tick_program_event timer_init_key",
        "a timer of its caller", "try_to_del_timer_sync", "run_timer_softirq",
    ),
    Rule(
        "work-api", "skip", "",
        "queue_work* queue_delayed_work* queue_rcu_work mod_delayed_work* cancel_work* "
        "cancel_delayed_work* flush_work* flush_delayed_work flush_workqueue* "
        "flush_scheduled_work drain_workqueue destroy_workqueue insert_work insert_wq_barrier "
        "start_flush_work try_to_grab_pending work_grab_pending schedule_work* "
        "check_flush_dependency delayed_work_timer_fn kthread_flush_work* kthread_flush_worker "
        "kthread_cancel_work* kthread_queue_work kthread_insert_work* get_work_pool "
        "find_worker_executing_work touch_work_lockdep_map touch_wq_lockdep_map task_work_add "
        "irq_work_queue* tasklet_kill tasklet_schedule* alloc_workqueue* alloc_and_link_pwqs "
        "static_key_* jump_label_* arch_jump_label_* text_poke* smp_text_poke* static_call_* "
        "kthread_create* kthread_run kthread_stop* "
        "free_irq request_irq request_threaded_irq setup_irq disable_irq* enable_irq "
        "synchronize_irq kthread_destroy_worker kthread_queue_* kthread_mod_* "
        "kthread_cancel_delayed_* kthread_unpark kthread_park* kthread_bind* flush_rcu_work "
        "enable_work* disable_work* work_busy clear_work_data mark_work_canceling put_pwq* "
        "pwq_* wake_up_worker kick_pool schedule_on_each_cpu execute_in_process_context "
        "tasklet_disable* tasklet_enable tasklet_init tasklet_setup tasklet_unlock_* "
        "raise_softirq* irq_work_sync task_work_cancel* async_schedule_* async_synchronize_* "
        "stop_machine* stop_one_cpu* stop_two_cpus cpu_stop_queue_work queue_stop_cpus_work "
        "wait_task_inactive call_usermodehelper* request_module request_firmware "
        "request_firmware_direct request_firmware_nowait request_firmware_into_buf "
        "free_workqueue_attrs synchronize_hardirq free_percpu_irq request_percpu_irq "
        "irq_set_affinity* irq_shutdown* irq_startup devm_request_irq devm_request_threaded_irq "
        "devm_free_irq init_work",
        "work of its caller's, queued or waited for", "__flush_work", "process_one_work",
    ),
    Rule(
        "schedule", "skip", "",
        "schedule schedule_* sched_text_start io_schedule* preempt_schedule* cond_resched* "
        "might_sleep* might_resched* context_switch switch_to* switch_to_asm need_resched* "
        "deactivate_task activate_task schedule_debug schedule_bug schedule_preempt_disabled "
        "schedule_timeout* schedule_hrtimeout* yield do_sched_yield msleep* usleep_range* "
        "ssleep do_nanosleep might_fault cant_sleep* cant_migrate check_preemption_disabled "
        "debug_smp_processor_id this_cpu_preempt_check rt_mutex_schedule prepare_to_wait* "
        "might_alloc finish_task_switch* udelay ndelay mdelay delay const_udelay delay_tsc "
        "delay_halt* delay_loop native_delay fsleep resched_curr* sched_submit_work "
        "wait_task_inactive finish_wait init_wait* preempt_notifier_* "
        "console_conditional_schedule msleep_interruptible",
        "gives the CPU away for its caller, or checks that it may",
        "schedule_timeout", "scheduler_tick",
    ),
    Rule(
        "wake-up", "skip", "",
        "wake_up wake_up_process wake_up_state wake_up_q wake_up_bit wake_up_var "
        "wake_up_common* wake_up_sync* wake_up_locked* wake_up_poll* wake_up_all* "
        "wake_up_interruptible* wake_up_page* wake_up_pollfree try_to_wake_up ttwu_* "
        "autoremove_wake_function default_wake_function swake_up* complete complete_all "
        "complete_with_flags wake_bit_function wake_q_add* wakeup_kswapd wakeup_preempt "
        "woken_wake_function pm_stay_awake pm_relax kill_fasync rcuwait_wake_up select_task_rq* "
        "pm_wakeup_ws_event pm_wakeup_dev_event",
        "wakes others for its caller", "__wake_up_common_lock", "wake_up_new_task",
    ),
    Rule(
        "completion", "skip", "",
        "wait_for_completion* wait_for_common* do_wait_for_common wait_woken finish_wait "
        "finish_swait prepare_to_swait* bit_wait* out_of_line_wait_* wait_on_bit* "
        "rcuwait_wait_event",
        "waits for its caller", "wait_for_completion_timeout",
    ),
    Rule(
        "rcu", "skip", "",
        "rcu_read_lock* rcu_read_unlock* rcu_lock_* rcu_is_watching rcu_note_context_switch "
        "rcu_dereference* call_rcu* call_rcu_hurry* call_srcu srcu_read_* rcu_sync_* "
        "kvfree_call_rcu rcu_preempt_deferred_* rcu_eqs_* rcu_dynticks_* rcu_irq_* rcu_nmi_* "
        "ct_kernel_* ct_user_* ct_idle_* ct_irq_* ct_nmi_* rcu_barrier* wait_rcu_gp* "
        "cleanup_srcu_struct* check_init_srcu_struct rcu_gp_is_* rcu_user_* context_tracking_* "
        "rcu_cblist_* rcu_segcblist_* synchronize_rcu* synchronize_srcu* synchronize_net "
        "synchronize_sched* synchronize_irq synchronize_rcu_tasks* synchronize_hardirq "
        "srcu_barrier* start_poll_synchronize_* poll_state_synchronize_* "
        "get_state_synchronize_* cond_synchronize_* init_srcu_struct* exit_tasks_rcu_* "
        "srcu_gp_start_if_needed srcu_funnel_gp_start rcu_softirq_qs rcu_momentary_* rcu_qs "
        "rcu_report_qs_* rcu_virt_note_* srcu_get_delay rcu_async_hurry rcu_async_relax",
        "marks or waits for a grace period for its caller", "call_rcu_common", "process_srcu",
    ),
    Rule(
        "irq-flags", "skip", "",
        "local_bh_* raw_local_irq_* arch_local_* local_irq_* native_save_fl native_restore_fl "
        "preempt_count_* raw_local_save_flags native_irq_* local_daif_* asm_exc_nmi pv_native_* "
        "warn_bogus_irq_restore trace_irq_* arch_irqs_* irqs_disabled* save_fl restore_fl "
        "daif_*",
        "switches interrupts or preemption for its caller", "__local_bh_enable_ip",
    ),
    # ---- the device model and other layers that act for a caller ------------------------------
    Rule(
        "kobject", "skip", "",
        "kobject_* kset_* get_device put_device device_del device_add device_register "
        "device_unregister device_create* device_destroy device_release device_initialize "
        "kobject_put sysfs_* internal_create_group* dev_set_name device_links_* dpm_sysfs_* "
        "get_device_parent* tty_unregister_device tty_register_device* bus_add_device "
        "bus_probe_device bus_remove_device driver_register device_for_each_child* "
        "bus_for_each_* i2c_del_adapter i2c_unregister_device unregister_client "
        "device_add_attrs device_remove_attrs add_uevent_var dev_uevent release_nodes devres_* "
        "*_notifier_call_chain notifier_chain_register notifier_chain_unregister "
        "blocking_notifier_chain_* raw_notifier_chain_* atomic_notifier_chain_* "
        "srcu_notifier_chain_* call_netdevice_notifiers* debugfs_remove* debugfs_create_* "
        "driver_unregister bus_remove_driver class_destroy class_unregister class_register "
        "platform_device_add platform_device_del platform_device_unregister cdev_del cdev_put "
        "cdev_add cdev_device_add cdev_device_del misc_register misc_deregister "
        "hwrng_unregister hwrng_register led_classdev_unregister power_supply_unregister "
        "bdi_unregister driver_sysfs_* subsys_interface_* bus_register bus_unregister "
        "device_match_* get_device_unless_zero proc_register proc_create* proc_mkdir* "
        "remove_proc_* pde_put rpm_callback rpm_idle rpm_resume rpm_suspend rpm_get_suppliers "
        "rpm_put_suppliers rpm_check_suspend_allowed kobj_kset_* kobj_ns_* kobj_attr_* "
        "devm_add_action* devm_k* devm_release_action devm_remove_action devm_ioremap* "
        "devm_platform_ioremap* devm_free_* devm_action_release pm_runtime_get_* "
        "pm_runtime_put_* pm_runtime_resume* pm_runtime_idle pm_runtime_suspend* "
        "pm_runtime_disable pm_runtime_enable pm_runtime_barrier pm_runtime_forbid "
        "pm_runtime_allow pm_runtime_init pm_runtime_remove pm_runtime_reinit pm_runtime_set_* "
        "pm_runtime_force_* pm_runtime_use_* dev_pm_qos_* device_pm_add device_pm_remove "
        "device_pm_lock device_pm_unlock device_pm_move_* device_pm_init device_pm_sleep_init "
        "device_wakeup_* dev_pm_set_* dev_pm_clear_* dev_pm_domain_* proc_net_mkdir "
        "device_rename device_move device_release_driver device_link_add device_link_remove "
        "device_link_del device_create_file device_remove_file device_add_group* "
        "device_remove_group* device_set_wakeup_* devtmpfs_create_node devtmpfs_delete_node "
        "devtmpfs_submit_req kernfs_add_one kernfs_create_* kernfs_new_node "
        "kernfs_remove_by_name* kernfs_put kernfs_get internal_create_* create_dir populate_dir "
        "remove_files driver_create_file driver_remove_file driver_add_groups "
        "driver_remove_groups driver_detach bus_notify bus_get_* bus_add_driver class_create* "
        "class_dev_iter_* class_for_each_device class_interface_* platform_device_register* "
        "platform_driver_unregister platform_driver_register platform_add_devices "
        "tty_register_driver tty_unregister_driver tty_port_unregister_device "
        "tty_port_register_device* kobject_uevent* root_device_* attribute_container_* "
        "unregister_chrdev* register_chrdev* register_blkdev unregister_blkdev "
        "securityfs_create* securityfs_remove* tracefs_create* tracefs_remove* register_sysctl* "
        "unregister_sysctl* drop_sysctl_table register_net_sysctl* i2c_add_adapter "
        "i2c_add_numbered_adapter "
        "i2c_register_adapter i2c_register_driver i2c_del_driver i2c_new_* remove_proc_entry "
        "proc_remove proc_symlink start_creating simple_pin_fs simple_release_fs proc_set_size "
        "proc_set_user",
        "the device model, which works for the driver", "kobject_add_internal", "device_find_child",
    ),
    Rule(
        "file-release", "skip", "",
        "dput fast_dput dput_to_list iput iput_final retain_dentry ihold file_ref_* lockref_put_*",
        "gives a reference of its caller's back", "fast_dput", "evict",
    ),
    Rule(
        "buffer-helpers", "skip", "",
        "mark_buffer_dirty* brelse put_bh get_bh submit_bh* set_page_dirty* set_buffer_* "
        "folio_mark_dirty filemap_dirty_folio lock_buffer unlock_buffer folio_unlock "
        "unlock_page folio_end_* end_page_writeback* folio_start_* set_page_writeback* "
        "drop_nlink clear_nlink inc_nlink set_nlink truncate_inode_pages* truncate_pagecache* "
        "invalidate_mapping_pages* invalidate_inode_pages2* bforget folio_lock lock_page "
        "folio_account_dirtied inode_add_bytes inode_sub_bytes i_size_write i_size_read",
        "works on a buffer, page or inode for its file system", "mark_buffer_dirty", "bread_gfp",
    ),
    Rule(
        "netdev-core", "skip", "",
        "rollback_registered* unregister_netdev unregister_netdevice_many* "
        "unregister_netdevice_queue* register_netdev register_netdevice netdev_wait_allrefs* "
        "netdev_run_todo dev_close_many dev_put_many unlist_netdevice list_netdevice "
        "netdev_register_kobject netdev_unregister_kobject netdev_queue_update_kobjects "
        "net_rx_queue_update_kobjects dev_close netdev_refcnt_read netdev_put netdev_hold "
        "dev_hold dev_put",
        "registers or removes a network device for its driver",
        "rollback_registered_many", "register_netdevice_notifier",
    ),
    Rule(
        "usb-core", "skip", "",
        "usb_kill_urb usb_submit_urb usb_free_urb usb_poison_urb usb_unlink_urb "
        "usb_unpoison_urb usb_put_urb usb_get_urb usb_kill_anchored_urbs "
        "usb_poison_anchored_urbs usb_unlink_anchored_urbs usb_scuttle_* usb_anchor_urb "
        "usb_unanchor_urb usb_hcd_* usb_control_msg* usb_bulk_msg usb_interrupt_msg "
        "usb_start_wait_urb usb_put_dev usb_get_dev usb_put_intf usb_get_intf usb_autopm_* "
        "usb_deregister usb_deregister_dev usb_register_dev usb_remove_hcd usb_set_interface "
        "usb_reset_device usb_get_descriptor usb_string usb_driver_release_interface "
        "usb_driver_claim_interface usb_alloc_urb usb_alloc_coherent usb_free_coherent "
        "usb_wait_anchor_* usb_get_from_anchor usb_get_status usb_clear_halt usb_get_string "
        "usb_get_langid usb_cache_string usb_get_device_descriptor usb_sg_wait usb_sg_init "
        "usb_register_driver usb_lock_device_for_reset usb_ifnum_to_if usb_altnum_to_altsetting "
        "usb_get_hcd usb_put_hcd usb_create_hcd usb_add_hcd usb_queue_reset_device urb_destroy "
        "usb_init_urb usb_pipe_type_check usb_urb_ep_type_check dummy_urb_enqueue "
        "dummy_urb_dequeue",
        "a transfer that a USB driver asked for", "usb_submit_urb", "usb_probe_interface",
    ),
    Rule(
        "own-panic", "skip", "",
        "*_panic *_assert_fail* *_assert_failed bug_on_* fs_error* ocfs2_abort* ocfs2_error* "
        "*assertfail* *assfail* btrfs_handle_fs_error btrfs_abort_transaction* ext4_error* "
        "ext4_std_error ext4_handle_error ext4_grp_locked_error ext4_abort jbd2_journal_abort* "
        "xfs_force_shutdown xfs_corruption_error gfs2_assert_* gfs2_withdraw gfs2_consist_* "
        "nilfs_error f2fs_bug_on hfsplus_error jfs_error udf_error ext2_error ext4_warning* "
        "reiserfs_warning reiserfs_error reiserfs_abort exfat_fs_error* fat_fs_error*",
        "a subsystem's own way to a BUG", "__reiserfs_panic", "panic_on_oops_setup",
    ),
    Rule(
        "mmio", "skip", "",
        "raw_read[bwlq] raw_write[bwlq] ioread* iowrite* inb inw inl outb outw outl insb insw "
        "insl outsb outsw outsl inb_p outb_p logic_in* logic_out* raw_readsl raw_writesl "
        "native_read_msr* native_write_msr* rdmsr* wrmsr* regmap_* clk_disable* clk_enable* "
        "clk_unprepare clk_prepare clk_core_* regulator_disable* regulator_enable* "
        "regulator_put* gpiod_set_* gpiod_get_* readb readw readl readq writeb writew writel "
        "writeq readb_* readw_* readl_* readq_* writeb_* writew_* writel_relaxed writel_be "
        "writeq_* readsb readsw readsl writesb writesw writesl inb_* inw_* inl_* outb_* outw_* "
        "outl_* raw_reads* raw_writes* pci_read_config_* pci_write_config_* "
        "pci_bus_read_config_* pci_bus_write_config_* pci_user_read_* pci_user_write_* "
        "native_cpuid gpiod_get* gpio_set_value* gpio_get_value* clk_get_rate clk_set_rate "
        "clk_put reset_control_* pio_*",
        "reads or writes a register of a device for its caller", "__raw_readb", "read_part_sector",
    ),
    Rule(
        "user-border", "skip", "",
        "x64_sys_call ia32_sys_call x32_sys_call do_syscall_* entry_SYSCALL* entry_SYSENTER* "
        "entry_INT80* syscall_return_* do_fast_syscall_32 do_int80_* do_SYSENTER_32 "
        "system_call* sysenter_* ia32_sysenter_* syscall_trace_* exit_to_user* syscall_exit_* "
        "prepare_exit_to_usermode invoke_syscall* el0_* el0t_* do_el0_svc* ret_to_user "
        "do_syscall tracesys* sysret_* int_ret_* do_trap_ecall_u system_call_exception "
        "syscall_common handle_syscall stub_* interrupt_exit_* syscall_enter_from_user_mode* "
        "arm64_exit_to_user_mode* do_trap_ecall_s el0t_64_sync*",
        "the way from user space into a system call", "do_syscall_64", "syscall_user_dispatch",
    ),
    Rule(
        "rust-runtime", "skip", "",
        "_R*_7___rustc17rust_begin_unwind* *core9panicking* rust_begin_unwind rust_panic "
        "rust_eh_* *4core6option13unwrap_failed *4core6result13unwrap_failed *6expect_failed "
        "*core9panicking5panic* *4core9panicking* *rust_begin_unwind* *5alloc7raw_vec* "
        "*5alloc5alloc*",
        "Rust's way to a panic", "_RNvNtCs9jEwPDbx20M_4core9panicking9panic_fmt",
    ),
    # ---- only where a task waits --------------------------------------------------------------
    Rule(
        "wait-generic", "wait", "",
        "do_read_cache_folio do_read_cache_page *wait*",
        "waits for something of its caller's", "folio_wait_bit_common", "p9_client_rpc",
    ),
    Rule(
        "wait-lock", "wait", "",
        "lock_sock* lock_two_* lock_rename* lock_kernel* *_lock *_lock_nested *_lock_killable "
        "*_lock_interruptible *_lock_io *_lock_common *_lock_slow* *_slowlock *_lock_page* "
        "*_lock_folio* *_lock_buffer lock_page* folio_lock* *_locked_slow* *_mutex_lock "
        "*_lock_noio *_rdlock *_wrlock *_read_lock *_write_lock *_lock_shared *_lock_irq*",
        "takes a lock for its caller", "console_lock", "blocking_notifier_chain_register",
    ),
    Rule(
        "wait-thread", "wait", "",
        "kthread_stop* kthread_park* kthread_flush* kthread_create* kthread kthread_worker_fn "
        "stop_one_cpu* stop_cpus stop_machine* smp_call_function* on_each_cpu* text_poke*",
        "waits for another thread or CPU", "kthread_stop", "io_sq_thread",
    ),
    # ---- waits whose waiters all have one cause -----------------------------------------------
    Rule(
        "shared-rtnl", "shared", "",
        "rtnl_lock rtnl_lock_killable rtnl_nets_lock rtnl_net_lock rtnl_lock_unregistering*",
        "one lock for all network configuration: the holder is to blame, not this waiter",
        "rtnl_lock", "rtnl_newlink",
    ),
    Rule(
        "shared-grace-period", "shared", "",
        "synchronize_rcu* synchronize_srcu* synchronize_net synchronize_sched* "
        "synchronize_rcu_expedited* synchronize_rcu_normal",
        "a grace period that does not end: the reader is to blame, not this waiter",
        "synchronize_rcu",
    ),
    # ---- where a stall was noticed ------------------------------------------------------------
    Rule(
        "tick", "tick", "",
        "rcu_dump_cpu_stacks print_cpu_stall* print_other_cpu_stall* check_cpu_stall* "
        "rcu_check_callbacks rcu_pending rcu_sched_clock_irq* "
        "rcu_check_gp_kthread_starvation* update_process_times tick_sched_handle* "
        "tick_sched_timer tick_nohz_handler tick_periodic tick_handle_periodic "
        "watchdog_timer_fn watchdog_overflow_callback watchdog_check_hardlockup_* "
        "watchdog_hardlockup_check nmi_cpu_backtrace* "
        "nmi_trigger_cpumask_backtrace* arch_trigger_cpumask_backtrace* "
        "arch_trigger_all_cpu_backtrace* trigger_all_cpu_backtrace* perf_event_nmi_handler "
        "intel_pmu_handle_irq nmi_handle* do_nmi default_do_nmi exc_nmi first_nmi nmi "
        "end_repeat_nmi sched_show_task* dump_cpu_task clock_comparator_interrupt "
        "clock_comparator_work",
        "the tick or NMI that noticed the stall", "rcu_sched_clock_irq",
    ),
    Rule(
        "tick-way", "tick-way", "",
        "smp_apic_timer_interrupt sysvec_apic_timer_interrupt arch_timer_handler_* "
        "handle_percpu_devid_irq hrtimer_interrupt run_hrtimer timer_handler twd_handler "
        "timer_interrupt xen_timer_interrupt do_ext_irq scheduler_tick sched_tick "
        "hrtimer_run_queues local_apic_timer_interrupt "
        "gic_handle_irq handle_domain_irq generic_handle_domain_irq call_on_irq_stack "
        "do_interrupt_handler el1_interrupt el1h_64_irq_handler handle_irq_desc",
        "on the way to the tick", "sysvec_apic_timer_interrupt",
    ),
    Rule(
        "irq-entry-x86", "entry", "x86",
        "asm_sysvec_* apic_timer_interrupt asm_common_interrupt common_interrupt "
        "ret_from_intr asm_exc_nmi nmi end_repeat_nmi reschedule_interrupt "
        "call_function_interrupt call_function_single_interrupt irq_work_interrupt "
        "hyperv_stimer0_callback_vector xen_hvm_callback_vector xen_do_hypervisor_callback "
        "asm_exc_xen_hypervisor_callback",
        "x86's stub for an interrupt", "asm_sysvec_apic_timer_interrupt",
    ),
    Rule(
        "irq-entry-arm", "entry", "arm64",
        "el1_irq el1h_64_irq el1t_64_irq el0_irq el0t_64_irq el0t_32_irq el1h_64_fiq irq_svc "
        "irq_usr fiq_svc",
        "the stub for an interrupt on arm and arm64", "el1h_64_irq",
    ),
    Rule(
        "irq-entry-s390", "entry", "s390x",
        "ext_int_handler io_int_handler mcck_int_handler ext_skip io_skip ext_no_vtime",
        "s390's stub for an interrupt", "ext_int_handler",
    ),
    Rule(
        "irq-entry-ppc", "entry", "ppc64",
        "decrementer_common* hardware_interrupt_common* doorbell_super_common* "
        "performance_monitor_common* h_doorbell_common* soft_nmi_common system_reset_common*",
        "powerpc's stub for an interrupt", "decrementer_common_virt",
    ),
    Rule(
        "irq-entry-riscv", "entry", "riscv64",
        "handle_exception ret_from_exception do_irq handle_int handle_vint except_vec_vi_end "
        "rollback_handle_int",
        "the stub for an interrupt on riscv, MIPS and LoongArch", "handle_exception",
    ),
    # ---- what calls whatever is registered ----------------------------------------------------
    Rule(
        "anchor-syscall-x86", "anchor", "x86",
        "do_syscall_64 do_syscall_32* do_syscall_x* do_fast_syscall_32 do_int80_* "
        "entry_SYSCALL* entry_SYSENTER* entry_INT80* x64_sys_call ia32_sys_call system_call* "
        "tracesys* sysenter_* ia32_sysenter_* syscall_call",
        "x86's dispatch of system calls", "entry_SYSCALL_64_after_hwframe",
    ),
    Rule(
        "anchor-syscall-other", "anchor", "",
        "invoke_syscall* el0_svc* do_el0_svc* ret_fast_syscall do_syscall "
        "system_call_exception do_trap_ecall_u system_call_common* handle_syscall "
        "syscall_common el0_sync* el0t_*",
        "the dispatch of system calls elsewhere", "invoke_syscall",
    ),
    Rule(
        "anchor-softirq", "anchor", "",
        "do_softirq* handle_softirqs softirq_handle_begin net_rx_action napi_poll* irq_exit* "
        "run_ksoftirqd call_timer_fn expire_timers run_hrtimer hrtimer_run_queues "
        "hrtimer_run_softirq rcu_do_batch tasklet_action* tasklet_hi_action "
        "asm_call_irq_on_stack asm_call_on_stack run_irq_on_irqstack* tasklet_action_common* "
        "blk_done_softirq",
        "runs what was put off from an interrupt", "call_timer_fn", "run_timer_softirq",
    ),
    Rule(
        "anchor-irq", "anchor", "",
        "handle_irq_event_percpu* handle_irq_event irq_forced_thread_fn irq_thread_fn "
        "irq_thread handle_edge_irq handle_fasteoi_irq flush_smp_call_function_queue* "
        "generic_smp_call_function_* csd_do_func irq_work_run_list irq_work_single",
        "runs an interrupt's handler", "__handle_irq_event_percpu",
    ),
    Rule(
        "anchor-thread", "anchor", "",
        "process_one_work process_scheduled_works worker_thread rescuer_thread kthread "
        "kthread_worker_fn ret_from_fork* smpboot_thread_fn kernel_thread_helper "
        "task_work_run io_wq_worker ret_from_kernel_thread* kernel_init cpu_startup_entry "
        "call_usermodehelper_exec_async vhost_task_fn start_kernel "
        "ret_from_kernel_user_thread",
        "runs a work item, a thread or a task's put-off work", "process_one_work",
    ),
    Rule(
        "anchor-vfs", "anchor", "",
        "vfs_read vfs_write vfs_ioctl do_vfs_ioctl vfs_iter_read vfs_iter_write new_sync_read "
        "new_sync_write vfs_readv vfs_writev do_iter_read do_iter_write do_iter_readv_writev "
        "do_loop_readv_writev call_read_iter call_write_iter vfs_fsync* vfs_statfs "
        "vfs_fallocate vfs_open do_dentry_open vfs_poll do_poll mmap_region call_mmap fput "
        "do_splice* splice_direct_to_actor iterate_dir sock_do_ioctl blkdev_ioctl "
        "compat_blkdev_ioctl *_sys_ioctl SyS_ioctl compat_SyS_ioctl sys_ioctl ksys_ioctl "
        "vfs_get_tree mount_fs kernel_read kernel_write vfs_copy_file_range vfs_dedupe* "
        "vfs_kern_mount* file_ioctl",
        "calls a file's or a file system's operation", "vfs_read",
    ),
    Rule(
        "anchor-attributes", "anchor", "",
        "kernfs_fop_write_iter kernfs_fop_read_iter kernfs_fop_write kernfs_fop_read "
        "kernfs_file_read_iter kernfs_seq_show sysfs_kf_write sysfs_kf_seq_show "
        "kobj_attr_store kobj_attr_show dev_attr_store dev_attr_show module_attr_store "
        "module_attr_show param_attr_store param_attr_show proc_reg_write proc_reg_read "
        "proc_reg_read_iter proc_reg_unlocked_ioctl proc_sys_call_handler* full_proxy_write "
        "full_proxy_read full_proxy_unlocked_ioctl simple_attr_write* simple_attr_read "
        "configfs_write_iter configfs_write_file",
        "calls what is behind a file of sysfs, procfs or debugfs",
        "param_attr_store", "kernfs_remove",
    ),
    Rule(
        "anchor-net", "anchor", "",
        "sock_sendmsg* sock_write_iter sys_sendmsg* kernel_sendmsg rtnetlink_rcv_msg "
        "netlink_dump nfnetlink_rcv_msg nfnetlink_rcv_batch netif_receive_skb* deliver_skb "
        "deliver_ptype_list_skb sock_recvmsg* sock_read_iter sys_setsockopt do_sock_setsockopt "
        "sys_getsockopt do_sock_getsockopt sys_connect* sys_bind* sys_listen* sys_accept4* "
        "sock_setsockopt",
        "calls a protocol's or a network driver's operation", "__netif_receive_skb_core",
    ),
    Rule(
        "anchor-user-fault", "fault", "",
        "handle_mm_fault do_user_addr_fault do_page_fault* exc_page_fault asm_exc_page_fault "
        "page_fault async_page_fault do_async_page_fault do_mem_abort el0_da el0_ia "
        "do_DataAbort dabt_usr pabt_usr handle_page_fault do_translation_fault",
        "a page fault from user space", "do_user_addr_fault",
    ),
    Rule(
        "anchor-init", "anchor", "",
        "do_one_initcall do_initcalls do_init_module load_module call_driver_probe "
        "really_probe device_remove* tty_ldisc_receive_buf",
        "calls what a module or a driver registered", "do_one_initcall",
    ),
    Rule(
        "shared-all-cpus", "anchor-self", "",
        "smp_call_function* on_each_cpu*",
        "waits for another CPU to answer: that CPU is to blame, not the function that asked",
        "smp_call_function_many", "flush_smp_call_function_queue",
    ),
)  # fmt: skip

RULES: tuple[Rule, ...] = _ROWS
