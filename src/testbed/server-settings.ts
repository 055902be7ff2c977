/** Settings of every server of a testbed: small ones, in which what failover needs is on. */
export const baseSettings: Readonly<Record<string, string>> = {
  wal_level: 'replica',
  hot_standby: 'on',
  wal_log_hints: 'on',
  max_wal_senders: '10',
  max_connections: '60',
  wal_keep_size: '256MB',
  max_slot_wal_keep_size: '2GB',
  shared_buffers: '16MB',
  // Within the data directory, and first within the server's own memory: killed, a server leaves nothing in /dev/shm.
  dynamic_shared_memory_type: 'mmap',
  min_dynamic_shared_memory: '2MB',
  max_wal_size: '1GB',
  log_line_prefix: '%m [%p] %a ',
  log_min_messages: 'warning',
};
