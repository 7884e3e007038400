// Prisma with its adapter for the driver `mariadb`: every step is printed as a line of JSON, [label, text].
// The only argument is the way, as JSON (see ../programs.py).

import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { inspect } from 'node:util';
import { PrismaMariaDb } from '@prisma/adapter-mariadb';

const { PrismaClient, Prisma } = createRequire(import.meta.url)('./node_modules/.generated');
const way = JSON.parse(process.argv[2]);
const login = { host: way.host, port: way.port, user: way.user, password: way.password, database: way.database, connectionLimit: 4, allowPublicKeyRetrieval: true };
const client = (more = {}) => new PrismaClient({ adapter: new PrismaMariaDb({ ...login, ...more }) });

const TABLES = [
  'CREATE TABLE Author (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(191) NOT NULL UNIQUE, born DATE)',
  `CREATE TABLE Post (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(191) NOT NULL, rating DECIMAL(10,3), score DOUBLE, views BIGINT NOT NULL DEFAULT 0, live BOOLEAN NOT NULL DEFAULT 0,
    body LONGTEXT, data LONGBLOB, doc JSON, kind ENUM('draft','public') NOT NULL DEFAULT 'draft', made DATETIME(3) NOT NULL, authorId INT NOT NULL, FOREIGN KEY (authorId) REFERENCES Author (id))`,
  'CREATE TABLE Tag (name VARCHAR(40) PRIMARY KEY)',
  'CREATE TABLE _PostToTag (A INT NOT NULL, B VARCHAR(40) NOT NULL, UNIQUE (A, B), FOREIGN KEY (A) REFERENCES Post (id) ON DELETE CASCADE, FOREIGN KEY (B) REFERENCES Tag (name) ON DELETE CASCADE)',
];

const simple = (name, value) => {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string' && value.length > 300) return `${value.length} long ${createHash('sha256').update(value).digest('hex')}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex').slice(0, 200)} ${value.length}`;
  return value;
};
const step = (label, value) => {
  const shown = JSON.stringify(value, (name, one) => simple(name, one));
  console.log(JSON.stringify([label, shown ?? inspect(value)]));
};
async function attempt(label, work) {
  try {
    step(label, await work());
  } catch (error) {
    step(label, [error.constructor.name, error.code, error.meta?.driverAdapterError?.cause ?? null, error.meta?.modelName, String(error.message).split('\n').pop()]);
  }
}

async function reads(db) {
  const all = { author: true, tags: { orderBy: { name: 'asc' } } };
  await attempt('all', () => db.post.findMany({ include: all, orderBy: { id: 'asc' } }));
  await attempt('nested', () => db.author.findMany({ include: { posts: { where: { live: true }, select: { title: true, views: true } } }, orderBy: { name: 'desc' } }));
  await attempt('filtered', () => db.post.findMany({ where: { OR: [{ title: { contains: '🐬' } }, { rating: { gt: '1.5' } }, { kind: 'public' }, { tags: { some: { name: 'b' } } }], made: { lt: new Date('2030-01-01') } }, orderBy: { id: 'asc' } }));
  await attempt('page', () => db.post.findMany({ skip: 1, take: 2, cursor: { id: 1 }, select: { id: true } }));
  await attempt('one', () => db.author.findUnique({ where: { name: 'Ada' } }));
  await attempt('none', () => db.author.findUniqueOrThrow({ where: { name: 'nobody' } }));
  await attempt('sums', () => db.post.aggregate({ _count: true, _sum: { rating: true, views: true }, _avg: { score: true }, _max: { made: true } }));
  await attempt('groups', () => db.post.groupBy({ by: ['kind'], _count: { _all: true }, _min: { id: true }, orderBy: { kind: 'asc' } }));
  await attempt('raw', () => db.$queryRaw`SELECT id, title, rating, views, data, made FROM Post WHERE id > ${0} ORDER BY id`);
  await attempt('raw in', () => db.$queryRaw(Prisma.sql`SELECT COUNT(*) AS n FROM Post WHERE id IN (${Prisma.join([1, 2, 3])})`));
  await attempt('at once', () => Promise.all([1, 2, 3, 4, 5, 6].map((id) => db.post.findUnique({ where: { id }, select: { title: true } }))));
}

async function writes(db) {
  const made = new Date('2026-02-28T23:59:59.123Z');
  await attempt('create', () => db.author.create({ data: { name: 'Ada', born: new Date('1815-12-10'), posts: { create: [
    { title: 'emoji 🐬 \' " \\ ?', rating: '1234567.891', score: 1.5, views: 2n ** 62n, live: true, body: 'ü'.repeat(70000), data: Buffer.from([0, 255, 39, 92]), doc: { a: [1, 2.5, null, '🐬'] }, kind: 'public', made,
      tags: { connectOrCreate: [{ where: { name: 'a' }, create: { name: 'a' } }, { where: { name: 'b' }, create: { name: 'b' } }] } },
    { title: '', made, data: Buffer.alloc(0), doc: Prisma.JsonNull },
  ] } }, include: { posts: true } }));
  await attempt('many', () => db.author.createMany({ data: [{ name: 'Linus' }, { name: 'Ada' }, { name: 'Grace' }], skipDuplicates: true }));
  await attempt('duplicate', () => db.author.create({ data: { name: 'Ada' } }));
  await attempt('foreign key', () => db.post.create({ data: { title: 'x', made, authorId: 4711 } }));
  await attempt('too long', () => db.tag.create({ data: { name: 'x'.repeat(41) } }));
  await attempt('missing', () => db.author.update({ where: { id: 4711 }, data: { name: 'x' } }));
  await attempt('update', () => db.post.update({ where: { id: 2 }, data: { views: { increment: 5 }, title: 'second', tags: { connect: { name: 'b' } } }, include: { tags: true } }));
  await attempt('update many', () => db.post.updateMany({ where: { rating: null }, data: { rating: 0.5 } }));
  for (const live of [true, false]) await attempt('upsert', () => db.author.upsert({ where: { name: 'Alan' }, create: { name: 'Alan' }, update: { born: live ? null : new Date('1912-06-23') } }));
  await attempt('delete with children', () => db.author.delete({ where: { name: 'Ada' } }));
  await attempt('delete', () => db.author.delete({ where: { name: 'Grace' } }));
  await attempt('execute raw', () => db.$executeRaw`UPDATE Post SET score = ${2.5} WHERE id = ${1}`);
  await attempt('unsafe', () => db.$executeRawUnsafe('SELEC 1'));
}

async function transactions(db) {
  await attempt('together', () => db.$transaction([db.tag.create({ data: { name: 't1' } }), db.tag.create({ data: { name: 't2' } }), db.tag.count()]));
  await attempt('together fails', () => db.$transaction([db.tag.create({ data: { name: 't3' } }), db.tag.create({ data: { name: 't1' } })]));
  for (const isolationLevel of ['ReadUncommitted', 'ReadCommitted', 'RepeatableRead', 'Serializable']) {
    await attempt(`interactive ${isolationLevel}`, () => db.$transaction(async (tx) => {
      await tx.tag.create({ data: { name: isolationLevel } });
      const outside = await db.author.count();
      const level = await tx.$queryRawUnsafe(way.flavor === 'mysql' ? 'SELECT @@transaction_isolation AS l' : 'SELECT @@tx_isolation AS l');
      return [outside, level, await tx.tag.count()];
    }, { isolationLevel }));
  }
  await attempt('rolled back', () => db.$transaction(async (tx) => {
    await tx.tag.deleteMany();
    throw new Error('no');
  }));
  await attempt('left', () => db.tag.findMany({ orderBy: { name: 'asc' } }));
}

// Refused logins are left to node/mariadb.js: Prisma's pool only tells of them when its time is over.
const db = client();
for (const sql of TABLES) await attempt('table', () => db.$executeRawUnsafe(sql));
await writes(db);
await reads(db);
await transactions(db);
await db.$disconnect();
