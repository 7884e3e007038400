# frozen_string_literal: true

# mysql2 as an application uses it: every step is printed as a line of JSON, [label, text].
# The only argument is the way, as JSON (see ../programs.py).

require 'bigdecimal'
require 'date'
require 'digest'
require 'json'
require 'mysql2'
require 'tempfile'

WAY = JSON.parse(ARGV[0])
OPTIONS = {
  host: WAY['host'], port: WAY['port'], username: WAY['user'], password: WAY['password'], database: WAY['database'],
  encoding: 'utf8mb4', connect_timeout: 10, read_timeout: 30
}.freeze

def shown(value)
  case value
  when String
    return "#{value.encoding} #{value.bytesize} bytes #{Digest::SHA256.hexdigest(value)}" if value.bytesize > 300

    "#{value.encoding} #{value.b.inspect}"
  when Array then "[#{value.map { |one| shown(one) }.join(', ')}]"
  when Hash then "{#{value.map { |name, one| "#{name}: #{shown(one)}" }.join(', ')}}"
  when Mysql2::Error then "#{value.class} #{value.errno} #{value.sql_state} #{value.message}"
  when BigDecimal then "decimal #{value}"
  when Time then "time #{value.strftime('%F %T.%N %z')}"
  else "#{value.class} #{value.inspect}"
  end
end

def step(label, *values)
  puts JSON.generate([label, values.map { |one| shown(one) }.join(', ').b.force_encoding('UTF-8').scrub('?')])
end

def attempt(label)
  step(label, yield)
rescue Mysql2::Error, ArgumentError => e
  step(label, e)
end

def told(db)
  [db.affected_rows, db.last_id, db.warning_count, db.query_info_string]
end

# All results of a statement in text.
def ask(db, sql, **options)
  attempt(sql[0, 200]) do
    result = db.query(sql, **options)
    seen = [result ? [result.fields, result.to_a] : told(db)]
    while db.next_result
      result = db.store_result
      seen << (result ? [result.fields, result.to_a] : told(db))
    end
    seen
  end
end

def execute(db, sql, *arguments, **options)
  attempt("execute #{sql}") do
    statement = db.prepare(sql)
    about = [statement.param_count, statement.field_count, statement.fields]
    result = statement.execute(*arguments, **options)
    seen = result ? [result.fields, result.to_a] : [statement.affected_rows, statement.last_id]
    statement.close
    [about, seen]
  end
end

def logins
  who = 'SELECT DATABASE(), CURRENT_USER(), @@version, @@character_set_client, @@collation_connection'
  [{}, { database: nil }, { encoding: 'latin1' }, { found_rows: true }, { flags: Mysql2::Client::MULTI_STATEMENTS }, { init_command: 'SET @greeting = 1' }, { reconnect: true },
   { connect_attrs: { program_name: 'tests' } }, { sslca: WAY['ca'] }, { sslca: WAY['ca'], sslverify: true }].each do |more|
    attempt("login #{more.keys}") do
      db = Mysql2::Client.new(OPTIONS.merge(more))
      ask(db, who)
      ask(db, 'SELECT @greeting')
      seen = [db.server_info, db.ping, db.ssl_cipher.nil?, db.encoding]
      db.close
      seen
    end
  end
  [{ password: 'wrong' }, { password: '' }, { username: 'nobody' }, { database: 'no_such_database' }].each do |wrong|
    attempt("refused #{wrong.keys}") { Mysql2::Client.new(OPTIONS.merge(wrong)) }
  end
end

def types(db)
  File.readlines(WAY['statements'], chomp: true, encoding: 'UTF-8').each { |sql| ask(db, sql) }
  # The client library does not know vectors.
  ask(db, 'ALTER TABLE types DROP COLUMN vec') if WAY['flavor'] == 'mysql'
  [{}, { cast: false }, { cast_booleans: true }, { as: :array }, { symbolize_keys: true, database_timezone: :utc, application_timezone: :local }].each do |options|
    ask(db, 'SELECT * FROM types ORDER BY id', **options)
    execute(db, 'SELECT * FROM types WHERE id > ? ORDER BY id', 0, **options.reject { |name, _| name == :cast })
  end
  ask(db, 'SELECT * FROM zero ORDER BY id')
  execute(db, 'SELECT * FROM zero WHERE id > ? ORDER BY id', 0)
  db.query('CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, price DECIMAL(30,10), d DOUBLE, day DATE, dt DATETIME(6), v LONGTEXT, b LONGBLOB)')
  insert = 'INSERT INTO p (n, price, d, day, dt, v, b) VALUES (?, ?, ?, ?, ?, ?, ?)'
  [[nil] * 7,
   [-(2**63), BigDecimal('-12345678901234567890.0123456789'), -1.7976931348623157e308, Date.new(9999, 12, 31), Time.utc(2026, 2, 28, 23, 59, 59, 123_456), "emoji 🐬 ' \" \\ \0", "\x00\xff'\\".b],
   [true, 5, 1.5, '2026-01-02', DateTime.new(2026, 2, 28, 12, 0, 0), '', ''],
   [2**63 - 1, '1.5', 0, nil, nil, 'ü' * 70_000, "\0" * 300_000],
   [2**64, 0, 0, nil, nil, nil, nil]].each { |row| execute(db, insert, *row) }
  execute(db, insert, 1)
  ask(db, 'SELECT * FROM p ORDER BY id')
  execute(db, 'SELECT ?, ? + 1, CONCAT(?), ? IS NULL, CAST(? AS SIGNED)', 5, 1.5, 'é', nil, false)
end

def transactions(db)
  other = Mysql2::Client.new(OPTIONS)
  db.query('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)')
  count = 'SELECT COUNT(*), MAX(id) FROM t'
  db.query('BEGIN')
  execute(db, 'INSERT INTO t (v) VALUES (?), (?)', 'one', 'two')
  ask(db, count)
  ask(other, count)
  execute(db, 'INSERT INTO t (v) VALUES (?)', 'one')
  ask(db, 'COMMIT')
  ask(other, count)
  ask(db, 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')
  ask(db, 'START TRANSACTION')
  execute(db, 'SELECT v FROM t WHERE id > ?', 0)
  ask(other, 'SELECT v FROM t WHERE id = 1 FOR UPDATE NOWAIT')
  ask(db, 'DELETE FROM t')
  ask(db, 'ROLLBACK')
  execute(db, count)
  ['UPDATE t SET v = v', "INSERT IGNORE INTO t (v) VALUES ('one'), ('three')", 'SHOW WARNINGS', 'SELEC 1', 'SELECT * FROM nowhere', 'SELECT nothing FROM t', 'SELECT 1; SELECT 2', 'CALL no_such_procedure()',
   'USE no_such_database', "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own é', MYSQL_ERRNO = 31000", "SELECT CAST('x' AS SIGNED)"].each do |sql|
    ask(db, sql)
    execute(db, sql)
  end
  db.automatic_close = true
  other.close
end

def several
  db = Mysql2::Client.new(OPTIONS.merge(flags: Mysql2::Client::MULTI_STATEMENTS))
  ask(db, 'CREATE TABLE m (a INT); INSERT INTO m VALUES (1), (2); SELECT * FROM m; UPDATE m SET a = 3; SELECT 1 AS e')
  ask(db, 'SELECT 1; SELECT * FROM nowhere; SELECT 2')
  ask(db, 'SELECT COUNT(*) FROM m')
  db.abandon_results!
  db.set_server_option(Mysql2::Client::OPTION_MULTI_STATEMENTS_OFF)
  ask(db, 'SELECT 1; SELECT 2')
  db.set_server_option(Mysql2::Client::OPTION_MULTI_STATEMENTS_ON)
  ask(db, 'SELECT 1; SELECT 2')
  ask(db, "CREATE PROCEDURE two(IN a INT) BEGIN SELECT a AS first; SELECT a + 1 AS second, 'x' AS text; END")
  ask(db, 'CALL two(1)')
  db.close
end

def sessions(db)
  ask(db, "SET @kept = 1, time_zone = '+01:00'")
  ask(db, 'CREATE TEMPORARY TABLE mine (a INT)')
  ask(db, 'SELECT @kept, @@time_zone, (SELECT COUNT(*) FROM mine)')
  db.select_db('information_schema')
  ask(db, 'SELECT DATABASE()')
  attempt('no database') { db.select_db('no_such_database') }
  db.select_db(WAY['database'])
  step('escaped', db.escape("é'\\\0\""), db.ping)
  open = (0...20).map { |number| db.prepare("SELECT #{number} + ? AS sum") }
  open.each_with_index { |statement, number| step('open', statement.execute(number).to_a, statement.execute(number + 1).to_a) }
  open.each(&:close)
  db.query('SELECT SLEEP(0.05), 5 AS later', async: true)
  step('async', db.async_result.to_a)
  file = Tempfile.new('rows')
  file.write((1..20_000).to_a.join("\n"))
  file.close
  infile = Mysql2::Client.new(OPTIONS.merge(local_infile: true))
  ask(infile, 'CREATE TABLE l (a INT)')
  attempt('infile') do
    infile.query("LOAD DATA LOCAL INFILE '#{file.path}' INTO TABLE l")
    told(infile)
  end
  ask(infile, 'SELECT COUNT(*), SUM(a) FROM l')
  attempt('infile by default') { db.query("LOAD DATA LOCAL INFILE '#{file.path}' INTO TABLE l") }
end

def streams
  db = Mysql2::Client.new(OPTIONS)
  db.query('CREATE TABLE digit (n INT PRIMARY KEY)')
  db.query('INSERT INTO digit VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)')
  from = 'FROM digit a, digit b, digit c, digit d WHERE a.n >= %s ORDER BY id'
  large = 'SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS id'
  options = { stream: true, cache_rows: false, as: :array }
  # mysql2 0.5.3 cannot stream texts of a prepared statement.
  [-> { db.query("#{large}, REPEAT('é', 20) AS text #{format(from, '0')}", **options) }, -> { db.prepare("#{large} #{format(from, '?')}").execute(0, **options) }].each do |run|
    digest = Digest::SHA256.new
    count = 0
    run.call.each do |row|
      digest << row.to_s
      count += 1
    end
    step('streamed', count, digest.hexdigest)
  end
  ask(db, 'SELECT COUNT(*) FROM digit')
  execute(db, "SELECT REPEAT('x', ?), LENGTH(?)", (1 << 24) - 5, 'y' * ((1 << 24) + 7))
  db.close
  attempt('closed') { db.query('SELECT 1') }
end

logins
db = Mysql2::Client.new(OPTIONS)
types(db)
transactions(db)
several
sessions(db)
streams
