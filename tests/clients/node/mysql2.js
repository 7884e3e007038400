// node mysql2 as an application uses it: every step is printed as a line of JSON, [label, value].
// The only argument is the way, as JSON (see ../ways.py).

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync, createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import mysql from 'mysql2';
import promise from 'mysql2/promise';

const way = JSON.parse(process.argv[2]);
const options = {
  host: way.host,
  port: way.port,
  user: way.user,
  password: way.password,
  database: way.database,
  supportBigNumbers: true,
  bigNumberStrings: false,
};

const TYPES = `CREATE TABLE types (
  id INT AUTO_INCREMENT PRIMARY KEY, tiny TINYINT, flag BOOLEAN, medium MEDIUMINT UNSIGNED, big BIGINT, ubig BIGINT UNSIGNED,
  price DECIMAL(30,10), f FLOAT, d DOUBLE, day DATE, t TIME(6), dt DATETIME(6), ts TIMESTAMP(3) NULL, y YEAR, v VARCHAR(80),
  vb VARBINARY(300), txt LONGTEXT, bl LONGBLOB, e ENUM('a','b'), s SET('x','y'), bits BIT(12), doc JSON, place POINT)`;
const ROW = {
  tiny: -128,
  flag: true,
  medium: 16777215,
  big: '-9223372036854775808',
  ubig: '18446744073709551615',
  price: '-12345678901234567890.0123456789',
  f: 1.5,
  d: -1e-300,
  day: '2026-02-28',
  t: '-838:59:58.999999',
  dt: new Date(Date.UTC(2026, 1, 28, 23, 59, 59, 123)),
  ts: '2026-02-28 12:00:00.123',
  y: 2155,
  v: 'emoji 🐬 100% \'quoted\' "twice" back\\slash ? \0',
  vb: Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
  txt: 'ü'.repeat(70000),
  bl: Buffer.alloc(100000, 7),
  e: 'b',
  s: 'x,y',
  bits: Buffer.from([0x0f, 0xff]),
  doc: JSON.stringify({ a: [1, 2.5, null, '🐬'] }),
};

const digest = (value) => createHash('sha256').update(value).digest('hex');
const text = (value) =>
  inspect(value, { depth: 9, breakLength: Infinity, maxArrayLength: 1000, maxStringLength: 300, sorted: true });
const step = (label, value) => console.log(JSON.stringify([label, text(value)]));
const describe = (fields) =>
  fields && fields.map((one) => (Array.isArray(one) || !one ? describe(one) : [one.name, one.columnType, one.flags, one.columnLength]));
const told = ({ affectedRows, insertId, warningStatus, changedRows, info }) => ({ affectedRows, insertId, warningStatus, changedRows, info });

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    return [error.code, error.errno, error.sqlState, error.sqlMessage ?? error.message];
  }
}

async function logins() {
  for (const database of [way.database, undefined]) {
    const connection = await promise.createConnection({ ...options, database });
    step('database', (await connection.query('SELECT DATABASE() AS d, CURRENT_USER() AS u, @@version AS v'))[0]);
    await connection.end();
  }
  for (const wrong of [{ password: 'wrong' }, { password: '' }, { user: 'nobody' }, { database: 'no_such_database' }]) {
    step('refused', await attempt(() => promise.createConnection({ ...options, ...wrong })));
  }
  const tls = await promise.createConnection({ ...options, ssl: { ca: readFileSync(way.ca) } });
  step('tls', (await tls.query('SELECT 1 AS one'))[0]);
  await tls.end();
  step('distrusted', (await attempt(() => promise.createConnection({ ...options, ssl: { rejectUnauthorized: true } })))[0]);
}

async function types() {
  const connection = await promise.createConnection(options);
  await connection.query(TYPES);
  const [inserted] = await connection.query('INSERT INTO types SET ?', [ROW]);
  step('query', told(inserted));
  const names = Object.keys(ROW);
  const sql = `INSERT INTO types (${names}) VALUES (${names.map(() => '?')})`;
  step('execute', told((await connection.execute(sql, Object.values(ROW)))[0]));
  step('nulls', told((await connection.execute('INSERT INTO types (tiny, v) VALUES (?, ?)', [null, '']))[0]));
  await connection.query('UPDATE types SET place = ST_GeomFromText(\'POINT(1 2)\') WHERE id = 1');
  for (const how of ['query', 'execute']) {
    const [rows, fields] = await connection[how]('SELECT * FROM types WHERE id > ? ORDER BY id', [0]);
    step(`${how} fields`, describe(fields));
    step(`${how} rows`, rows);
    for (const more of [{ rowsAsArray: true }, { dateStrings: true }, { typeCast: false }, { nestTables: '_' }]) {
      const [other] = await connection[how]({ sql: 'SELECT id, big, ubig, price, dt, bits, doc, v FROM types ORDER BY id', ...more });
      step(`${how} ${Object.keys(more)}`, other);
    }
  }
  const typeCast = (field, next) => (field.type === 'TINY' && field.length === 1 ? field.string() === '1' : next());
  step('typeCast', (await connection.query({ sql: 'SELECT flag, tiny FROM types', typeCast }))[0]);
  await connection.end();
}

async function transactions() {
  const connection = await promise.createConnection(options);
  const other = await promise.createConnection(options);
  await connection.query('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)');
  await connection.beginTransaction();
  step('insert', told((await connection.execute('INSERT INTO t (v) VALUES (?), (?)', ['one', 'two']))[0]));
  step('own', (await connection.execute('SELECT * FROM t WHERE id > ?', [0]))[0]);
  step('others', (await other.query('SELECT * FROM t'))[0]);
  await connection.query('SAVEPOINT a');
  step('duplicate', await attempt(() => connection.execute('INSERT INTO t (v) VALUES (?)', ['one'])));
  await connection.query('ROLLBACK TO SAVEPOINT a');
  await connection.commit();
  step('committed', (await other.query('SELECT * FROM t'))[0]);
  await connection.beginTransaction();
  await connection.query('DELETE FROM t');
  await connection.rollback();
  step('rolled back', (await connection.query('SELECT COUNT(*) AS n FROM t'))[0]);
  await connection.query('SET autocommit = 0');
  await connection.query('INSERT INTO t (v) VALUES ("lost")');
  await connection.end();
  step('lost', (await other.query('SELECT COUNT(*) AS n FROM t FOR UPDATE'))[0]);
  for (const sql of ['SELEC 1', 'SELECT * FROM nowhere', 'SELECT nothing FROM t', 'SELECT 1; SELECT 2']) {
    step(`query ${sql}`, await attempt(() => other.query(sql)));
    step(`execute ${sql}`, await attempt(() => other.execute(sql)));
  }
  await other.end();
}

async function prepared() {
  const connection = await promise.createConnection({ ...options, maxPreparedStatements: 5 });
  await connection.query('CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n INT, v LONGBLOB)');
  const insert = await connection.prepare('INSERT INTO p (n, v) VALUES (?, ?)');
  const select = await connection.prepare('SELECT COUNT(*) AS rows_, SUM(n) AS total, MAX(?) AS what FROM p WHERE n >= ?');
  for (let number = 0; number < 200; number += 1) await insert.execute([number, Buffer.alloc(number * 10, number)]);
  step('prepared twice', [(await select.execute(['x', 0]))[0], (await select.execute([7, 190]))[0]]);
  await insert.close();
  await select.close();
  // More statements than the client keeps open: it closes the oldest.
  for (let number = 0; number < 12; number += 1) {
    step(`kept ${number}`, (await connection.execute(`SELECT ${number} + ? AS sum`, [number]))[0]);
  }
  step('again', (await connection.execute('SELECT 0 + ? AS sum', [5]))[0]);
  await connection.query('TRUNCATE TABLE p');
  step('empty', (await connection.execute('SELECT * FROM p WHERE n = ?', [1]))[0]);
  await connection.query('CREATE PROCEDURE two(IN a INT) BEGIN SELECT a AS first; SELECT a + 1 AS second, a AS same; END');
  const called = await connection.query('CALL two(?)', [5]);
  step('call', [called[0].map((one) => (Array.isArray(one) ? one : told(one))), describe(called[1])]);
  const bound = await connection.execute('CALL two(?)', [6]);
  step('prepared call', bound[0].map((one) => (Array.isArray(one) ? one : told(one))));
  await connection.end();
}

async function several() {
  const connection = await promise.createConnection({ ...options, multipleStatements: true, flags: '-FOUND_ROWS' });
  const [results] = await connection.query('CREATE TABLE m (a INT); INSERT INTO m VALUES (1), (2); SELECT * FROM m; SELECT "end" AS e');
  step('several', results.map((one) => (Array.isArray(one) ? one : told(one))));
  step('an error among them', await attempt(() => connection.query('SELECT 1; SELECT * FROM nowhere; SELECT 2')));
  step('changed', told((await connection.query('UPDATE m SET a = 1'))[0]));
  step('warnings', told((await connection.query('INSERT IGNORE INTO m VALUES ("x")'))[0]));
  step('which', (await connection.query('SHOW WARNINGS'))[0]);
  const file = join(mkdtempSync(join(tmpdir(), 'infile-')), 'data.csv');
  writeFileSync(file, Array.from({ length: 5000 }, (_, n) => `${n}\n`).join(''));
  const load = { sql: 'LOAD DATA LOCAL INFILE "data.csv" INTO TABLE m', infileStreamFactory: () => createReadStream(file) };
  step('infile', told((await connection.query(load))[0]));
  await connection.query('SET @mine = 5');
  await connection.changeUser({ user: way.user, password: way.password, database: way.database });
  step('changed user', (await connection.query('SELECT @mine AS mine, DATABASE() AS d'))[0]);
  step('refused', await attempt(() => connection.changeUser({ user: way.user, password: 'wrong' })));
  connection.destroy();
}

async function charsets() {
  const connection = await promise.createConnection(options);
  await connection.query('CREATE TABLE c (v VARCHAR(20) CHARACTER SET utf8mb4)');
  for (const names of ['latin1', 'utf8mb4', 'cp1251', 'utf8mb4']) {
    await connection.query(`SET NAMES ${names}`);
    await connection.query('INSERT INTO c VALUES ("äя")');
    step(names, (await connection.query('SELECT v, HEX(v) AS hex FROM c'))[0]);
  }
  await connection.end();
}

async function pools() {
  const pool = promise.createPool({ ...options, connectionLimit: 4 });
  await pool.query('CREATE TABLE w (worker INT, step INT, PRIMARY KEY (worker, step))');
  const work = async (worker) => {
    const connection = await pool.getConnection();
    await connection.beginTransaction();
    for (let number = 0; number < 3; number += 1) await connection.execute('INSERT INTO w VALUES (?, ?)', [worker, number]);
    const [own] = await connection.execute('SELECT COUNT(*) AS n FROM w WHERE worker = ?', [worker]);
    await (worker % 2 ? connection.commit() : connection.rollback());
    connection.release();
    return [worker, own];
  };
  step('workers', await Promise.all(Array.from({ length: 20 }, (_, worker) => work(worker))));
  step('left', (await pool.query('SELECT worker, COUNT(*) AS n FROM w GROUP BY worker ORDER BY worker'))[0]);
  // Sent without waiting for the answers, on one connection.
  const connection = await pool.getConnection();
  const answers = Promise.all(Array.from({ length: 50 }, (_, n) => connection.query('SELECT ? AS n', [n])));
  step('at once', (await answers).map(([rows]) => rows[0].n));
  await connection.ping();
  connection.release();
  await pool.end();
}

async function streams() {
  const connection = mysql.createConnection(options);
  const ask = connection.promise();
  await ask.query('CREATE TABLE digit (n INT PRIMARY KEY)');
  await ask.query('INSERT INTO digit VALUES ?', [Array.from({ length: 10 }, (_, n) => [n])]);
  const large = `SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS id, REPEAT('é', 20) AS text
    FROM digit a, digit b, digit c, digit d, digit e ORDER BY id`;
  for (const how of ['query', 'execute']) {
    const hash = createHash('sha256');
    let rows = 0;
    for await (const row of connection[how](large).stream({ highWaterMark: 100 })) {
      rows += 1;
      hash.update(JSON.stringify(row));
    }
    if (rows !== 100000) throw new Error(`${rows} rows`);
    step(`streamed ${how}`, hash.digest('hex'));
  }
  const [[{ long }]] = await ask.query('SELECT ? AS `long`', ['é'.repeat(9 << 20)]);
  step('long', [long.length, digest(long)]);
  await ask.end();
}

for (const part of [logins, types, transactions, prepared, several, charsets, pools, streams]) await part();
