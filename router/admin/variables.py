"""The system variables of the admin interface: those that drivers and tools ask for when they log in."""

from __future__ import annotations

from typing import Final

from router.admin.tables import Value

CHARSET = "utf8mb4"
COLLATION = "utf8mb4_general_ci"
COLLATION_ID = 45
MAX_PACKET = 1 << 20


_FIXED: Final[dict[str, Value]] = {
    "auto_increment_increment": 1,
    "auto_increment_offset": 1,
    "autocommit": 1,
    "big_tables": 0,
    "character_set_client": CHARSET,
    "character_set_connection": CHARSET,
    "character_set_database": CHARSET,
    "character_set_filesystem": "binary",
    "character_set_results": CHARSET,
    "character_set_server": CHARSET,
    "character_set_system": "utf8mb3",
    "collation_connection": COLLATION,
    "collation_database": COLLATION,
    "collation_server": COLLATION,
    "default_storage_engine": "MEMORY",
    "error_count": 0,
    "event_scheduler": "OFF",
    "foreign_key_checks": 1,
    "gtid_mode": "OFF",
    "have_openssl": "YES",
    "have_ssl": "YES",
    "hostname": "",
    "identity": 0,
    "init_connect": "",
    "innodb_version": "",
    "interactive_timeout": 28800,
    "last_insert_id": 0,
    "license": "",
    "lower_case_file_system": 0,
    "lower_case_table_names": 2,
    "max_allowed_packet": MAX_PACKET,
    "max_connections": 100,
    "max_execution_time": 2000,
    "net_buffer_length": 16384,
    "net_read_timeout": 30,
    "net_write_timeout": 60,
    "performance_schema": 0,
    "port": 0,
    "profiling": 0,
    "protocol_version": 10,
    "query_cache_size": 0,
    "query_cache_type": "OFF",
    "read_only": 1,
    "server_id": 0,
    "session_track_gtids": "OFF",
    "session_track_schema": 0,
    "session_track_state_change": 0,
    "session_track_system_variables": "",
    "session_track_transaction_info": "OFF",
    "skip_networking": 0,
    "socket": "",
    "sql_auto_is_null": 0,
    "sql_mode": "",
    "sql_safe_updates": 0,
    "sql_select_limit": 18446744073709551615.0,
    "ssl_cipher": "",
    "super_read_only": 1,
    "system_time_zone": "UTC",
    "time_zone": "SYSTEM",
    "timestamp": 0,
    "transaction_isolation": "READ-COMMITTED",
    "transaction_read_only": 0,
    "tx_isolation": "READ-COMMITTED",
    "tx_read_only": 0,
    "unique_checks": 1,
    "version_comment": "mysql-query-router admin",
    "version_compile_machine": "",
    "version_compile_os": "Linux",
    "wait_timeout": 28800,
    "warning_count": 0,
}


def variables(version: str, connection_id: int) -> dict[str, Value]:
    """Name → value; ``version`` is the server's in the greeting. Switches are numbers, as ``@@`` gives them."""
    return {**_FIXED, "version": version, "pseudo_thread_id": connection_id}
