-- What these tests, and the random ones, once found wrong; each as small as it could be made.
-- One plan serves statements of one form, whose literals have other lengths
SELECT id FROM customers WHERE id BETWEEN 7 AND 7;
SELECT id FROM customers WHERE id BETWEEN 5 AND 20;
SELECT id FROM customers WHERE id BETWEEN 100 AND 1000;
SELECT id FROM customers WHERE id BETWEEN 20 AND 5;
SELECT id, name FROM customers WHERE name = 'a' ORDER BY id LIMIT 1;
SELECT id, name FROM customers WHERE name = 'Anna' ORDER BY id LIMIT 10;
SELECT id, name FROM customers WHERE name = '' ORDER BY id LIMIT 100;
SELECT 'a', COUNT(*) FROM customers WHERE id > 1;
SELECT 'abc', COUNT(*) FROM customers WHERE id > 100;
SELECT '', COUNT(*) FROM customers WHERE id > 10;
SELECT region_id, COUNT(*), 'x' FROM customers WHERE id > 5 GROUP BY region_id ORDER BY region_id LIMIT 2;
SELECT region_id, COUNT(*), 'xyz' FROM customers WHERE id > 150 GROUP BY region_id ORDER BY region_id LIMIT 20;
-- The key of what is on the optional side of an outer join is NULL on every shard
SELECT o.customer_id, COUNT(*) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY o.customer_id;
SELECT DISTINCT o.customer_id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id;
SELECT c.id, RANK() OVER (PARTITION BY o.customer_id ORDER BY c.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id;
SELECT DISTINCT b.quantity, a.customer_id FROM items a RIGHT JOIN items b ON b.customer_id = a.customer_id AND b.shipped <=> '2021-01-01';
SELECT a.customer_id, COUNT(*) FROM items a RIGHT JOIN customers b ON b.id = a.customer_id AND a.shipped = '2021-01-01' GROUP BY a.customer_id HAVING COUNT(*) > 2;
SELECT o.customer_id, COUNT(*) FROM customers c LEFT JOIN (SELECT * FROM orders WHERE total > 300) o ON o.customer_id = c.id GROUP BY o.customer_id;
SELECT t.k, COUNT(*) FROM (SELECT o.customer_id AS k FROM customers c LEFT JOIN orders o ON o.customer_id = c.id) t GROUP BY t.k;
SELECT t.k, t.n FROM (SELECT o.customer_id AS k, COUNT(*) AS n FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY o.customer_id) t;
SELECT c.id, t.n FROM customers c LEFT JOIN (SELECT customer_id, COUNT(*) AS n FROM orders GROUP BY customer_id) t ON t.customer_id = c.id;
SELECT t.customer_id, COUNT(*) FROM customers c LEFT JOIN (SELECT customer_id, COUNT(*) AS n FROM orders GROUP BY customer_id) t ON t.customer_id = c.id GROUP BY t.customer_id;
-- A name in ORDER BY is an alias before it is a column
SELECT name AS id, id AS name FROM customers ORDER BY name, id;
SELECT region_id AS id, id AS region_id FROM customers ORDER BY region_id;
SELECT balance AS id, id AS balance FROM customers ORDER BY id DESC, balance;
SELECT name AS x, id AS name FROM customers ORDER BY name;
-- LIMIT and OFFSET together beyond what a LIMIT can be
SELECT id FROM customers ORDER BY id LIMIT 5, 18446744073709551615;
SELECT id FROM customers ORDER BY id LIMIT 18446744073709551615 OFFSET 298;
-- The same aggregate twice
SELECT AVG(customer_id), AVG(customer_id) FROM orders;
SELECT ref, AVG(total), AVG(total), SUM(total), AVG(total) FROM orders GROUP BY ref;
SELECT MIN(tag), MIN(tag), MAX(tag), MAX(tag) FROM customers;
SELECT region_id, MIN(seen), MIN(seen), MAX(seen) FROM customers GROUP BY region_id;
-- Many rows: shards wait for each other, and their connections are used again
SELECT a.customer_id FROM orders a LEFT JOIN items b ON b.customer_id = a.customer_id ORDER BY a.customer_id, a.id, b.customer_id DESC, b.order_id, b.line;
SELECT a.customer_id, b.line FROM orders a JOIN items b ON b.customer_id = a.customer_id ORDER BY b.line, a.customer_id, a.id, b.order_id;
SELECT a.customer_id, b.line FROM orders a JOIN items b ON b.customer_id = a.customer_id;
SELECT a.id, c.note FROM orders o JOIN customers c ON o.customer_id = c.id JOIN items a2 ON a2.customer_id = c.id JOIN customers a ON a.id = c.id;
SELECT id FROM customers ORDER BY id;
-- SAVEPOINT before the first shard is known
BEGIN;
SAVEPOINT a;
UPDATE customers SET name = 'lost' WHERE id = 8;
ROLLBACK TO SAVEPOINT a;
SELECT name FROM customers WHERE id = 8;
COMMIT;
