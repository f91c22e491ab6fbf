"""The names that drgn 0.3.0 looks up in a kernel, from its sources, by what they are.

Owns data only. Made by searching libdrgn and drgn's helpers and commands for the names that
they pass to ``drgn_program_find_object()``, ``prog[]``, ``in prog``, ``constant()`` and
``symbol()``.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VARIABLES = _words(
    """
    __cpu_online_mask __cpu_possible_mask __cpu_present_mask __highest_present_section_nr
    __irq_regs __per_cpu_offset _cea_offset _totalram_pages arp_tbl avenrun block_class
    blockdev_superblock btf_idr bus_kset bus_ktype cdev_map cgrp_dfl_root chrdevs class_kset
    class_ktype contig_page_data cpu_bit_bitmap cpu_online_mask cpu_possible_mask
    cpu_present_mask crash_notes crashing_cpu cur_cpu_spec device_ktype driver_ktype
    exception_stacks hardirq_ctx hardirq_stack_ptr hrtimer_bases hstates hugetlb_max_hstate
    idt_table init_ipc_ns init_mm init_net init_pid_ns init_task init_uts_ns
    interrupt_base_book3e ioport_resource ipc_mni_shift irq_desc_tree irq_stack_ptr jiffies_64
    kernel_config_data link_idr log_buf log_first_idx log_first_seq log_next_idx lowcore_ptr
    major_names map_idr max_low_pfn max_mapnr max_pfn mem_map mem_section memblock memory_subsys
    min_low_pfn mod_tree module_ktype modules net_namespace_list node_data node_states
    nr_cpu_ids nr_irqs nr_node_ids nr_swap_pages nr_swapfiles nr_swapper_spaces nr_vmap_nodes
    ns_file_operations paca paca_ptrs page_offset_base panic_cpu pci_bus_type pci_root_buses
    pcpu_hot pid_hash pidhash_shift poll_spurious_irq_timer prb prog_idr root_task_group
    runqueues saved_command_line sections_per_block single slab_caches slab_kset softirq_ctx
    softirq_vec sparse_irqs stack_pools stack_slabs swap_info swapper_spaces
    sysctl_overcommit_kbytes sysctl_overcommit_ratio sysfs_root_kn taint_flags tainted_mask
    task_state_array task_struct_cachep thread_stack_cache timekeeper_data timer_bases tk_core
    tnts total_nr_irqs total_swap_pages totalram_pages uidhash_table userspace_init_fs vermagic
    vm_committed_as vm_event_states vm_node_stat vm_numa_event vm_numa_stat vm_zone_stat
    vmap_area_list vmap_area_root vmap_nodes vmap_zone_size
    """
)

FUNCTIONS = _words(
    """
    __rwsem_set_reader_owned free_kthread_struct module_layout special_mapping_name
    vmemmap_populate
    """
)

SYMBOLS = _words(
    """
    __end_init_stack __end_init_task __start___kcrctab __start___ksymtab __start_init_stack
    __start_init_task __start_orc_header __start_orc_unwind __start_orc_unwind_ip
    __stop___ksymtab __stop_orc_header __stop_orc_unwind __stop_orc_unwind_ip _stext
    kernel_config_data_end
    """
)

CONSTANTS = _words(
    """
    BLK_MQ_F_TAG_HCTX_SHARED CSS_RELEASED KERNFS_DIR KERNFS_LINK LOG_CONT MIGRATE_UNMOVABLE
    MM_ANONPAGES MM_FILEPAGES MM_SHMEMPAGES MM_SWAPENTS MOD_MEM_NUM_TYPES MOD_TEXT NR_FILE_PAGES
    NR_FREE_PAGES NR_SLAB_RECLAIMABLE NR_SLAB_RECLAIMABLE_B NR_SLAB_UNRECLAIMABLE
    NR_SLAB_UNRECLAIMABLE_B NR_SWAPCACHE N_ONLINE N_POSSIBLE PGTY_netpp PG_active PG_checked
    PG_compound PG_dirty PG_double_map PG_error PG_foreign PG_has_hwpoisoned PG_head PG_hwpoison
    PG_idle PG_isolated PG_locked PG_lru PG_mappedtodisk PG_mlocked PG_owner_priv_1 PG_pinned
    PG_private PG_private_2 PG_readahead PG_reclaim PG_referenced PG_reported PG_reserved
    PG_savepinned PG_skip_kasan_poison PG_slab PG_slob_free PG_swapbacked PG_tail PG_uncached
    PG_unevictable PG_uptodate PG_vmemmap_self_hosted PG_waiters PG_workingset PG_writeback
    PG_xen_remapped PG_young PIDTYPE_PID SECTION_MARKED_PRESENT_BIT SWP_BLKDEV SWP_USED
    SWP_WRITEOK TCP_ESTABLISHED TCP_SYN_RECV TCP_TIME_WAIT TIMEKEEPER_CORE WMARK_HIGH WMARK_LOW
    WMARK_MIN __NR_PAGEFLAGS desc_committed desc_finalized
    """
)
