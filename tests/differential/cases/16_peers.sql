-- What other sharding proxies answered wrongly, by the number of their issue; here exact or refused.
-- LIMIT pushed below grouping: Vitess 13180, 16263; ShardingSphere 2062, 10806, 320, 29841, 32469; MyCat 145, 2821; dble 409
SELECT ref, COUNT(*) FROM orders GROUP BY ref ORDER BY ref LIMIT 2;
SELECT ref, COUNT(*) AS n FROM orders GROUP BY ref ORDER BY n DESC, ref LIMIT 1;
SELECT ref, COUNT(*) AS n FROM orders GROUP BY ref ORDER BY n, ref LIMIT 1, 2;
SELECT ref, COUNT(DISTINCT status) FROM orders GROUP BY ref ORDER BY ref LIMIT 3;
SELECT COUNT(DISTINCT status) FROM orders LIMIT 1;
SELECT region_id, MAX(points) AS m FROM customers GROUP BY region_id ORDER BY m DESC, region_id LIMIT 2;
SELECT id FROM customers ORDER BY id DESC LIMIT 5;
SELECT id FROM customers ORDER BY id LIMIT 100, 10;
SELECT customer_id, id FROM orders ORDER BY total DESC, customer_id, id LIMIT 7 OFFSET 50;
SELECT ref FROM orders GROUP BY ref HAVING COUNT(*) > 3 ORDER BY ref LIMIT 1;
-- HAVING, AVG and sums of each shard alone: Gaea 281; MyCat 475, 1487, 1604, 1874, 581; ShardingSphere 33380
SELECT ref, COUNT(*) FROM orders GROUP BY ref HAVING COUNT(*) > 3 ORDER BY ref;
SELECT ref FROM orders GROUP BY ref HAVING SUM(total) > 1000 ORDER BY ref;
SELECT region_id, AVG(balance) FROM customers GROUP BY region_id HAVING AVG(balance) > 0 ORDER BY region_id;
SELECT AVG(balance), SUM(balance), COUNT(balance) FROM customers;
SELECT SUM(total * 1000), SUM(total) * 1000 FROM orders;
SELECT MAX(total), MIN(total) FROM orders;
SELECT AVG(points) FROM customers;
-- Two counts, constants and columns beside aggregates: Vitess 13179, 15192, 11625; PgDog 1172, 638
SELECT COUNT(*), COUNT(*) FROM orders;
SELECT COUNT(*), COUNT(*) + 0, SUM(ref) FROM orders;
SELECT COUNT(*), 0 FROM customers WHERE 0;
SELECT COUNT(1), ref FROM orders GROUP BY ref ORDER BY ref;
SELECT SUM(points) FROM customers;
SELECT status, total FROM orders GROUP BY status;
-- Nothing to aggregate: ShardingSphere 33449
SELECT COUNT(*), SUM(id), MIN(id), MAX(id), AVG(id) FROM customers WHERE id < 0;
SELECT COUNT(DISTINCT name) FROM customers WHERE id < 0;
SELECT region_id, COUNT(*) FROM customers WHERE id < 0 GROUP BY region_id;
SELECT COUNT(*) FROM customers WHERE id < 0 HAVING COUNT(*) > 0;
-- DISTINCT of each shard alone: ShardingSphere 4565, 37852, 14341, 39429; Citus 314; Vitess 19693
SELECT DISTINCT ref FROM orders ORDER BY ref;
SELECT DISTINCT HEX(ref) FROM orders ORDER BY 1;
SELECT DISTINCT region_id + 1 FROM customers ORDER BY 1;
SELECT DISTINCT region_id, level FROM customers ORDER BY region_id, level LIMIT 4;
SELECT COUNT(DISTINCT region_id), SUM(DISTINCT region_id), AVG(DISTINCT region_id) FROM customers;
SELECT ref, AVG(DISTINCT total) FROM orders GROUP BY ref ORDER BY ref;
SELECT COUNT(DISTINCT status, ref) FROM orders;
SELECT COUNT(DISTINCT status), COUNT(DISTINCT ref) FROM orders;
SELECT DISTINCT ROW_NUMBER() OVER (ORDER BY id) FROM customers LIMIT 3;
-- Derived tables, subqueries and CTEs of each shard alone: ShardingSphere 12553, 18949, 11713; Vitess 12540, 12654, 19530
SELECT COUNT(*) FROM (SELECT DISTINCT status FROM orders) AS t;
SELECT COUNT(*) FROM (SELECT customer_id FROM orders GROUP BY customer_id) AS t;
SELECT COUNT(*) FROM (SELECT status, COUNT(*) AS n FROM orders GROUP BY status) AS t;
SELECT COUNT(*) FROM (SELECT id FROM customers ORDER BY id LIMIT 10) AS t;
SELECT id FROM customers WHERE balance = (SELECT MAX(balance) FROM customers);
SELECT id FROM customers WHERE region_id = (SELECT MIN(region_id) FROM customers) ORDER BY id;
SELECT id FROM customers WHERE (SELECT COUNT(*) FROM orders) > 0 ORDER BY id LIMIT 3;
WITH totals AS (SELECT status, SUM(total) AS s FROM orders GROUP BY status) SELECT MAX(s) FROM totals;
SELECT COUNT(*) FROM (SELECT c.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id) AS t;
SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY points, id) AS n FROM customers) AS t WHERE n < 5;
-- Outer joins, with copies on the preserved side and with conditions that must stay in ON: Vitess 19545, 12269, 18041, 16386, 16472
SELECT r.id, c.id FROM regions r LEFT JOIN customers c ON c.region_id = r.id ORDER BY r.id, c.id;
SELECT COUNT(*) FROM regions r LEFT JOIN customers c ON c.region_id = r.id AND c.id < 0;
SELECT c.id, o.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.total > 590 ORDER BY c.id, o.id;
SELECT COUNT(*), COUNT(o.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.status = 'none';
SELECT c.id FROM orders o RIGHT JOIN customers c ON c.id = o.customer_id WHERE o.id IS NULL ORDER BY c.id;
SELECT COUNT(*) FROM customers a JOIN customers b ON a.region_id = b.region_id;
SELECT c.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND c.id = 7 ORDER BY c.id LIMIT 5;
-- NOT IN, negative numbers, types of values, names in other cases: ShardingSphere 32076, 38327, 37389, 37528, 39204, 39433
SELECT id FROM customers WHERE id NOT IN (1, 2, 3) ORDER BY id LIMIT 5;
SELECT COUNT(*) FROM customers WHERE NOT id IN (1, 2, 3);
SELECT id FROM customers WHERE id = -1 OR id = 1 ORDER BY id;
SELECT id FROM customers WHERE ID = 3 AND Id = 4;
SELECT id FROM customers WHERE ID = 3 OR Id = 4 ORDER BY id;
SELECT id FROM customers WHERE id = 3 AND id = '3';
SELECT id FROM customers WHERE id = 3 OR id = '4' OR id = 5.0 ORDER BY id;
SELECT id FROM customers WHERE id = 0x05;
SELECT id FROM customers WHERE id = b'101';
SELECT id FROM customers WHERE id <=> (1 AND 0);
-- ORDER BY and GROUP BY of the first shard alone: kingshard 339, 88, 545; dble 637, 791, 414
SELECT id, name FROM customers ORDER BY name, id;
SELECT level, COUNT(*) FROM customers GROUP BY level ORDER BY level;
SELECT id FROM customers WHERE id < 5 UNION SELECT id FROM customers WHERE id < 9 ORDER BY id;
SELECT id FROM customers WHERE id < 5 UNION ALL SELECT customer_id FROM orders WHERE customer_id < 3 ORDER BY id;
SELECT c.name, o.total FROM customers c, orders o WHERE c.id = o.customer_id ORDER BY o.total, o.customer_id, o.id LIMIT 9;
SELECT o.id FROM orders o JOIN items i ON i.customer_id = o.customer_id AND i.order_id = o.id ORDER BY o.customer_id, o.id, i.line LIMIT 5;
-- A misspelt WHERE: dble 126, MyCat 1451
SELECT id FROM customers wher id = 3;
