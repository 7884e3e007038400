#!/bin/sh
# Run once in each new server: accounts, and for a replica whom to follow.
#
# ROLE is primary or replica; a replica follows SOURCE_HOST:SOURCE_PORT. Every server makes the accounts by itself
# (unlogged), so that a replica gets nothing from its primary but what belongs to databases.
set -eu

# As it stands between quotes in SQL.
quoted() { printf %s "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g"; }

sql() { MYSQL_PWD="${MARIADB_ROOT_PASSWORD-}" mariadb -uroot --default-character-set=utf8mb4; }

sql <<SQL
SET SESSION sql_log_bin = OFF;
CREATE USER app@'%' IDENTIFIED BY '$(quoted "$APP_PASSWORD")';
GRANT ALL ON \`%\`.* TO app@'%';
CREATE USER router@'%' IDENTIFIED BY '$(quoted "$MONITOR_PASSWORD")';
GRANT REPLICATION CLIENT, SLAVE MONITOR ON *.* TO router@'%';
CREATE USER repl@'%' IDENTIFIED BY '$(quoted "$REPLICATION_PASSWORD")';
GRANT REPLICATION SLAVE ON *.* TO repl@'%';
SQL

case $ROLE in
primary)
    echo "CREATE DATABASE shop CHARACTER SET utf8mb4;" | sql
    ;;
replica)
    # Replication starts with the server itself, which the image starts anew after this.
    sql <<SQL
CHANGE MASTER TO MASTER_HOST = '$SOURCE_HOST', MASTER_PORT = ${SOURCE_PORT:-3306}, MASTER_USER = 'repl',
  MASTER_PASSWORD = '$(quoted "$REPLICATION_PASSWORD")', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 5;
SQL
    ;;
*)
    echo "init.sh: ROLE is primary or replica" >&2
    exit 1
    ;;
esac
