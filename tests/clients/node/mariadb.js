// The node driver `mariadb` as an application uses it: every step is printed as a line of JSON, [label, text].
// The only argument is the way, as JSON (see ../programs.py).

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import mariadb from 'mariadb';

const way = JSON.parse(process.argv[2]);
const options = {
  host: way.host,
  port: way.port,
  user: way.user,
  password: way.password,
  database: way.database,
  timezone: 'Z',
  connectTimeout: 10000,
  // MySQL's way to send passwords without TLS.
  allowPublicKeyRetrieval: true,
};

const long = (value) =>
  (typeof value === 'string' || Buffer.isBuffer(value)) && value.length > 300
    ? `${value.length} long ${createHash('sha256').update(value).digest('hex')}`
    : value;
const short = (value) => {
  if (Array.isArray(value)) return value.map(short);
  if (value && Object.getPrototypeOf(value) === Object.prototype) return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, short(one)]));
  return long(value);
};
const text = (value) => inspect(short(value), { depth: 9, breakLength: Infinity, maxArrayLength: 1000, maxStringLength: 400, sorted: true });
const step = (label, value) => console.log(JSON.stringify([label, text(value)]));
const described = (meta) => meta && meta.map((one) => [one.name(), one.orgName(), one.table(), one.columnType, one.type, one.columnLength, one.scale, one.flags, one.collation?.name]);
const error = (problem) => [problem.code, problem.errno, problem.sqlState, problem.sqlMessage, problem.fatal];

async function attempt(work) {
  try {
    return await work();
  } catch (problem) {
    return ['error', ...error(problem)];
  }
}

async function using(more, work) {
  const connection = await mariadb.createConnection({ ...options, ...more });
  try {
    return await work(connection);
  } finally {
    await connection.end();
  }
}

async function recreate(connection) {
  await connection.query(`DROP DATABASE ${way.database}`);
  await connection.query(`CREATE DATABASE ${way.database} CHARACTER SET utf8mb4`);
  await connection.query(`USE ${way.database}`);
}

// Rows with what is told of their columns, or counts.
async function ask(connection, label, how, sql, values) {
  step(label, await attempt(async () => {
    const found = await connection[how](sql, values);
    return [found?.meta ? described(found.meta) : null, found];
  }));
}

async function logins() {
  const who = 'SELECT DATABASE() AS d, CURRENT_USER() AS u, @@version AS v, @@character_set_client AS c, @@collation_connection AS l, @@time_zone AS t';
  const ca = readFileSync(way.ca);
  for (const more of [{}, { database: undefined }, { charset: 'latin1' }, { collation: 'utf8mb4_unicode_ci' }, { sessionVariables: { sql_mode: 'ANSI', wait_timeout: 1000 } }, { initSql: ['SET @a = 1'] },
    { timezone: '+03:00' }, { ssl: { ca } }, { ssl: { rejectUnauthorized: false } }, { compress: true }, { connectAttributes: { program: 'tests' } }, { foundRows: false }]) {
    const label = `login ${Object.keys(more)} ${Object.values(more).map((one) => typeof one)}`;
    step(label, await attempt(() => using(more, async (connection) => {
      step(label, [await connection.query(who), connection.serverVersion(), connection.info.isMariaDB(), await connection.ping()]);
    })));
  }
  const wrongs = [{ password: 'wrong' }, { password: '' }, { database: 'no_such_database' }, { password: 'wrong', ssl: { ca } }];
  for (const wrong of wrongs) step(`refused ${Object.keys(wrong)}`, await attempt(() => using(wrong, () => undefined)));
  const unknown = await using({ ssl: true }, () => 'accepted').catch(() => 'refused');
  step('no authority', unknown);
}

async function types(connection, label) {
  for (const sql of readFileSync(way.statements, 'utf8').trim().split('\n')) await ask(connection, `${label} setup`, 'query', sql);
  // A type that the driver does not know.
  if (way.flavor === 'mysql') await connection.query('ALTER TABLE types DROP COLUMN vec');
  for (const how of ['query', 'execute']) {
    await ask(connection, `${label} ${how}`, how, 'SELECT * FROM types WHERE id > ? ORDER BY id', [0]);
    await ask(connection, `${label} zero ${how}`, how, 'SELECT * FROM zero WHERE id > ? ORDER BY id', [0]);
    for (const more of [{ rowsAsArray: true }, { dateStrings: true, bigIntAsNumber: true, decimalAsNumber: true }, { typeCast: (field, next) => (how === 'query' && field.type === 'BIGINT' ? field.string() : next()) }, { nestTables: '_', metaAsArray: false, insertIdAsNumber: true, bitOneIsBoolean: false }]) {
      await ask(connection, `${label} ${how} ${Object.keys(more)}`, how, { sql: 'SELECT id, big, ubig, price, dt, ts, bits, bit1, v FROM types WHERE id > ? ORDER BY id', ...more }, [0]);
    }
  }
  await connection.query('CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, d DOUBLE, dt DATETIME(6), v LONGTEXT, b LONGBLOB, flag BOOL, doc LONGTEXT)');
  const rows = [
    [null, null, null, null, null, null, null],
    [-(2n ** 63n), -1.7976931348623157e308, new Date(Date.UTC(2026, 1, 28, 23, 59, 59, 123)), 'emoji 🐬 \' " \\ ? :n \0', Buffer.from([0, 255, 39, 92]), true, { a: [1, null] }],
    [9007199254740993n, 1.5, '2026-02-28 01:02:03.456789', '', Buffer.alloc(0), false, []],
    [7, 0, undefined, 'ü'.repeat(70000), Buffer.alloc(300000, 7), 1, 'text'],
  ];
  for (const how of ['query', 'execute']) {
    for (const row of rows) await ask(connection, `${label} insert ${how}`, how, 'INSERT INTO p (n, d, dt, v, b, flag, doc) VALUES (?, ?, ?, ?, ?, ?, ?)', row);
    await ask(connection, `${label} named ${how}`, how, { sql: 'INSERT INTO p (n, v) VALUES (:n, :v)', namedPlaceholders: true }, { n: 1, v: 'named' });
    // Without pipelining the driver would never go on after this.
    if (!label) await ask(connection, `${label} too few ${how}`, how, 'INSERT INTO p (n, v) VALUES (?, ?)', [1]);
  }
  await ask(connection, `${label} written`, 'execute', 'SELECT * FROM p WHERE id > ? ORDER BY id', [0]);
}

async function batch(connection, label, sql, rows) {
  step(label, await attempt(() => connection.batch(sql, rows)));
}

async function batches(connection, label) {
  await connection.query('CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, k INT UNIQUE, v VARCHAR(20))');
  const insert = 'INSERT INTO b (k, v) VALUES (?, ?)';
  const rows = Array.from({ length: 300 }, (_, n) => [n, n % 7 ? `🐬${n}` : null]);
  await batch(connection, `${label} many`, insert, rows);
  await connection.beginTransaction();
  step(`${label} duplicate`, (await attempt(() => connection.batch(insert, [[1000, 'a'], [5, 'b'], [1001, 'c']]))).slice(0, 4));
  await connection.rollback();
  await connection.beginTransaction();
  await batch(connection, `${label} too long`, insert, [[3000, 'a'.repeat(30)], [3001, 'b']]);
  await connection.rollback();
  await batch(connection, `${label} update`, 'UPDATE b SET v = ? WHERE k = ?', rows.slice(0, 20).map(([k]) => [`new${k}`, k]));
  await batch(connection, `${label} delete`, 'DELETE FROM b WHERE k = ?', [[1], [2], [99999]]);
  await batch(connection, `${label} full result`, { sql: insert, fullResult: true }, [[2000, 'x'], [2001, 'y']]);
  await ask(connection, `${label} left`, 'query', 'SELECT COUNT(*) AS n, SUM(k) AS k, COUNT(v) AS v, MIN(v) AS low, MAX(v) AS high FROM b');
}

async function transactions(connection, label) {
  await connection.query('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)');
  const count = 'SELECT COUNT(*) AS n, MAX(id) AS m FROM t WHERE id > ?';
  await using({}, async (other) => {
    await connection.beginTransaction();
    await ask(connection, `${label} insert`, 'execute', 'INSERT INTO t (v) VALUES (?), (?)', ['one', 'two']);
    await ask(connection, `${label} duplicate`, 'execute', 'INSERT INTO t (v) VALUES (?)', ['one']);
    await ask(connection, `${label} own`, 'execute', count, [0]);
    await ask(other, `${label} not yet`, 'execute', count, [0]);
    await connection.commit();
    await ask(other, `${label} committed`, 'execute', count, [0]);
    await connection.beginTransaction();
    await connection.execute('DELETE FROM t WHERE id > ?', [0]);
    await connection.rollback();
    await ask(connection, `${label} rolled back`, 'query', count, [0]);
    await connection.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
    await connection.beginTransaction();
    await ask(connection, `${label} serializable`, 'execute', count, [0]);
    await ask(other, `${label} locked`, 'query', 'SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT');
    await connection.rollback();
  });
  for (const sql of ['UPDATE t SET v = v', "INSERT IGNORE INTO t (v) VALUES ('one'), ('three')", 'SHOW WARNINGS', 'SELEC 1', 'SELECT * FROM nowhere', 'SELECT nothing FROM t', 'SELECT 1; SELECT 2', 'CALL no_such_procedure()',
    'USE no_such_database', "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own é', MYSQL_ERRNO = 31000", "SELECT CAST('x' AS SIGNED) AS x"]) {
    for (const how of ['query', 'execute']) await ask(connection, `${label} ${how} ${sql}`, how, sql);
  }
  if (way.flavor === 'mariadb') step(`${label} time limit`, await attempt(() => connection.query({ sql: 'SELECT SLEEP(20)', timeout: 100 })));
  await ask(connection, `${label} afterwards`, 'query', 'SELECT 1 AS one');
}

async function prepared(connection, label) {
  const insert = await connection.prepare('INSERT INTO t (v) VALUES (?)');
  const select = await connection.prepare('SELECT id, v, ? AS what FROM t WHERE id > ? ORDER BY id');
  for (const v of ['p', 'q', 'p']) step(`${label} prepared`, await attempt(() => insert.execute([v])));
  for (const id of [0, 2]) step(`${label} prepared rows`, await attempt(() => select.execute(['x', id])));
  step(`${label} streamed`, await new Promise((resolve, reject) => {
    const rows = [];
    select.executeStream(['y', 0]).on('data', (row) => rows.push(row)).on('error', reject).on('end', () => resolve(rows));
  }));
  insert.close();
  select.close();
  for (let number = 0; number < 20; number += 1) step(`${label} kept ${number}`, await connection.execute(`SELECT ${number % 12} + ? AS sum`, [number]));
  await connection.query('CREATE TABLE altered (a INT)');
  const changing = await connection.prepare('SELECT * FROM altered WHERE 1 = ?');
  step(`${label} altered`, await attempt(() => changing.execute([1])));
  await connection.query('INSERT INTO altered VALUES (1)');
  await connection.query("ALTER TABLE altered ADD COLUMN b VARCHAR(9) DEFAULT 'new'");
  step(`${label} altered`, await attempt(() => changing.execute([1])));
  await connection.query('DROP TABLE altered');
  step(`${label} altered away`, await attempt(() => changing.execute([1])));
  changing.close();
  await connection.query("CREATE PROCEDURE two(IN a INT) BEGIN SELECT a AS first; SELECT a + 1 AS second, 'x' AS text; END");
  await connection.query("CREATE PROCEDURE stops() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stop'; END");
  for (const how of ['query', 'execute']) {
    await ask(connection, `${label} call ${how}`, how, 'CALL two(?)', [21]);
    await ask(connection, `${label} stops ${how}`, how, 'CALL stops()');
  }
}

async function sessions() {
  await using({ multipleStatements: true, permitLocalInfile: true }, async (connection) => {
    await recreate(connection);
    await ask(connection, 'several', 'query', 'CREATE TABLE m (a INT); INSERT INTO m VALUES (?), (2); SELECT * FROM m; UPDATE m SET a = 3; SELECT 1 AS e', [1]);
    await ask(connection, 'an error among them', 'query', 'SELECT 1; SELECT * FROM nowhere; SELECT 2');
    const file = join(mkdtempSync(join(tmpdir(), 'infile-')), 'data.csv');
    writeFileSync(file, Array.from({ length: 20000 }, (_, n) => `${n}\n`).join(''));
    await ask(connection, 'infile', 'query', `LOAD DATA LOCAL INFILE '${file}' INTO TABLE m`);
    step('no file', (await attempt(() => connection.query("LOAD DATA LOCAL INFILE '/none.csv' INTO TABLE m"))).slice(0, 4));
    await ask(connection, 'loaded', 'query', 'SELECT COUNT(*) AS n, SUM(a) AS s FROM m');
    await connection.query("SET @kept = 1, time_zone = '+01:00'");
    await connection.query('CREATE TEMPORARY TABLE mine (a INT)');
    const kept = 'SELECT @kept AS k, @@time_zone AS t, DATABASE() AS d';
    await ask(connection, 'kept', 'query', kept);
    step('reset', await attempt(() => connection.reset()));
    await ask(connection, 'reset', 'query', kept);
    await ask(connection, 'reset', 'query', 'SELECT * FROM mine');
    await connection.query('SET @kept = 2');
    step('changed user', await attempt(() => connection.changeUser({ user: way.user, password: way.password, database: 'information_schema' })));
    await ask(connection, 'changed user', 'query', kept);
    step('valid', [connection.isValid(), await connection.ping()]);
    // Sent without waiting for the answers.
    step('at once', await Promise.all(Array.from({ length: 50 }, (_, n) => connection[n % 2 ? 'query' : 'execute']('SELECT ? AS n', [n]))));
    step('an error at once', await Promise.all(['SELECT 1 AS a', 'SELEC 2', 'SELECT 3 AS c'].map((sql) => attempt(() => connection.query(sql)))));
  });
  const pool = mariadb.createPool({ ...options, connectionLimit: 4, resetAfterUse: true });
  await pool.query('CREATE TABLE w (worker INT, step INT, PRIMARY KEY (worker, step))');
  const work = async (worker) => {
    const connection = await pool.getConnection();
    await connection.beginTransaction();
    for (let number = 0; number < 3; number += 1) await connection.execute('INSERT INTO w VALUES (?, ?)', [worker, number]);
    const own = await connection.execute('SELECT COUNT(*) AS n FROM w WHERE worker = ?', [worker]);
    await (worker % 2 ? connection.commit() : connection.rollback());
    await connection.release();
    return [worker, own[0].n];
  };
  step('workers', await Promise.all(Array.from({ length: 12 }, (_, worker) => work(worker))));
  step('left', await pool.query('SELECT worker, COUNT(*) AS n FROM w GROUP BY worker ORDER BY worker'));
  await pool.end();
}

async function streams(connection) {
  await connection.query('CREATE TABLE digit (n INT PRIMARY KEY)');
  await connection.query('INSERT INTO digit VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)');
  const large = "SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS id, REPEAT('é', 20) AS text FROM digit a, digit b, digit c, digit d ORDER BY id";
  const hash = createHash('sha256');
  let rows = 0;
  for await (const row of connection.queryStream(large)) {
    rows += 1;
    hash.update(JSON.stringify([row.id.toString(), row.text]));
  }
  step('streamed', [rows, hash.digest('hex')]);
  for (const how of ['query', 'execute']) {
    await ask(connection, `long ${how}`, how, "SELECT REPEAT('x', ?) AS x, LENGTH(?) AS n", [(1 << 24) - 5, 'é'.repeat((1 << 23) + 7)]);
  }
}

await logins();
for (const more of [{}, { pipelining: false, bulk: false }]) {
  await using(more, async (connection) => {
    const label = Object.keys(more).join();
    await recreate(connection);
    await types(connection, label);
    await batches(connection, label);
    await transactions(connection, label);
    await prepared(connection, label);
    if (!label) await streams(connection);
  });
}
await sessions();
