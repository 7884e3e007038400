-- Aggregates over everything
SELECT COUNT(*) FROM customers;
SELECT COUNT(1) FROM customers;
SELECT COUNT(id), COUNT(name), COUNT(region_id) FROM customers;
SELECT COUNT(*) FROM customers WHERE region_id = 1;
SELECT COUNT(*) FROM customers WHERE 0;
SELECT SUM(id), MIN(id), MAX(id), AVG(id) FROM customers;
SELECT SUM(balance), MIN(balance), MAX(balance), AVG(balance) FROM customers;
SELECT SUM(score), MIN(score), MAX(score), AVG(score) FROM customers;
SELECT SUM(points), MIN(points), MAX(points), AVG(points) FROM customers;
SELECT MIN(born), MAX(born), MIN(joined), MAX(joined), MIN(seen), MAX(seen) FROM customers;
SELECT MIN(wakes), MAX(wakes) FROM customers;
SELECT MIN(name), MAX(name) FROM customers WHERE name IN ('Øre', 'O''Neil', 'c');
SELECT MIN(HEX(WEIGHT_STRING(city))), MAX(HEX(WEIGHT_STRING(city))) FROM customers;
SELECT MIN(tag), MAX(tag) FROM customers;
SELECT MIN(level), MAX(level) FROM customers;
SELECT MIN(flags), MAX(flags) FROM customers;
SELECT MIN(photo), MAX(photo) FROM customers;
SELECT SUM(level), AVG(level) FROM customers;
SELECT SUM(flags) FROM customers;
SELECT SUM(name) FROM customers WHERE name IN ('Zoe', '');
SELECT SUM(born), AVG(born) FROM customers;
SELECT SUM(price), AVG(price), SUM(price * quantity), AVG(price * quantity) FROM items;
SELECT SUM(quantity), AVG(quantity), AVG(quantity + 1) FROM items;
SELECT MIN(price + quantity), MAX(price - quantity), MAX(-quantity) FROM items;
SELECT SUM(1), SUM(NULL), SUM(1.5), MAX(3), MIN('x'), AVG(2), COUNT(NULL) FROM customers;
SELECT SUM(region_id = 1), SUM(region_id IS NULL), COUNT(region_id = 1) FROM customers;
SELECT SUM(IF(region_id = 1, balance, 0)), COUNT(CASE WHEN region_id = 2 THEN 1 END) FROM customers;
SELECT SUM(id) AS total, COUNT(*) n FROM customers;
SELECT SUM(ALL id) FROM customers;
-- vitess 13179: the same aggregate twice
SELECT COUNT(*), COUNT(*) FROM customers;
SELECT SUM(id), SUM(id), COUNT(*) AS a, COUNT(*) AS b FROM customers;
SELECT STDDEV(id), STD(id), STDDEV_POP(id), VARIANCE(id), VAR_POP(id) FROM customers;
SELECT STDDEV_SAMP(score), VAR_SAMP(score) FROM customers;
SELECT BIT_AND(id), BIT_OR(id), BIT_XOR(id) FROM customers;
SELECT BIT_XOR(CRC32(name)) FROM customers;
SELECT GROUP_CONCAT(id ORDER BY id) FROM customers WHERE id < 50;
SELECT GROUP_CONCAT(id ORDER BY id DESC SEPARATOR '-') FROM customers WHERE id < 50;
SELECT GROUP_CONCAT(DISTINCT region_id ORDER BY region_id) FROM customers;
SELECT COUNT(DISTINCT region_id) FROM customers;
SELECT COUNT(DISTINCT name) FROM customers;
SELECT COUNT(DISTINCT city) FROM customers;
SELECT COUNT(DISTINCT tag) FROM customers;
SELECT COUNT(DISTINCT id) FROM customers;
SELECT COUNT(DISTINCT customer_id) FROM orders;
SELECT COUNT(DISTINCT customer_id, status) FROM orders;
SELECT COUNT(DISTINCT region_id, level) FROM customers;
SELECT COUNT(DISTINCT region_id), COUNT(DISTINCT level) FROM customers;
SELECT COUNT(DISTINCT region_id), COUNT(*) FROM customers;
SELECT SUM(DISTINCT region_id), AVG(DISTINCT points) FROM customers;
SELECT MAX(DISTINCT region_id), MIN(DISTINCT region_id) FROM customers;
SELECT COUNT(DISTINCT CASE WHEN region_id = 1 THEN level END) FROM customers;
SELECT ANY_VALUE(1) FROM regions;
-- MyCat: an expression over an aggregate
SELECT 1 + COUNT(*) FROM customers;
SELECT COUNT(*) + SUM(id), COUNT(*) * 2, -COUNT(*) FROM customers;
SELECT SUM(balance) / COUNT(balance) FROM customers;
SELECT ROUND(AVG(balance), 2) FROM customers;
SELECT IFNULL(SUM(balance), 0), COALESCE(MAX(id), -1) FROM customers WHERE id < 0;
SELECT IFNULL(SUM(balance), 0) FROM customers;
SELECT CONCAT('n=', COUNT(*)) FROM customers;
SELECT MAX(id) - MIN(id) FROM customers;
SELECT MAX(id) > 100, COUNT(*) IS NULL FROM customers;
SELECT CAST(SUM(balance) AS SIGNED) FROM customers;
SELECT COUNT(*), 'x', 5, NULL FROM customers;
SELECT 'x', COUNT(*) FROM customers WHERE 0;
-- Empty input. ShardingSphere 33449; vitess random: select count(*), 0 from dept, emp where 0
SELECT COUNT(*), SUM(id), MIN(id), MAX(name), AVG(id), STDDEV(id), BIT_AND(id), BIT_OR(id) FROM customers WHERE 0;
SELECT COUNT(*), 0 FROM customers, regions WHERE 0;
SELECT COUNT(*), SUM(id), AVG(balance) FROM customers WHERE id < 0;
SELECT MIN(name), MAX(born) FROM customers WHERE region_id = 99;
SELECT GROUP_CONCAT(id) FROM customers WHERE id < 0;
SELECT region_id, COUNT(*) FROM customers WHERE id < 0 GROUP BY region_id;
SELECT COUNT(*) FROM customers WHERE id < 0 HAVING COUNT(*) > 0;
SELECT COUNT(*) FROM customers WHERE id < 0 HAVING COUNT(*) = 0;
-- A shard without rows beside others
SELECT COUNT(*), SUM(id), MIN(name), AVG(balance), BIT_AND(id) FROM customers WHERE id IN (1, 2);
SELECT AVG(balance), MIN(born) FROM customers WHERE id IN (3, 4, 5) AND region_id IS NOT NULL;
-- Groups
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id;
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id ORDER BY region_id DESC;
SELECT region_id, COUNT(*) AS n FROM customers GROUP BY region_id ORDER BY n DESC, region_id;
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id ORDER BY 2 DESC, 1;
SELECT region_id, COUNT(*) FROM customers GROUP BY 1 ORDER BY COUNT(*), region_id;
SELECT region_id AS r, COUNT(*) FROM customers GROUP BY r ORDER BY r;
SELECT region_id r, SUM(balance) s, AVG(balance) a, MIN(balance), MAX(balance) FROM customers GROUP BY r;
SELECT COUNT(*) FROM customers GROUP BY region_id;
SELECT SUM(balance) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT COUNT(*), region_id, level FROM customers GROUP BY region_id, level;
SELECT region_id, level, COUNT(*) FROM customers GROUP BY region_id, level ORDER BY level, region_id DESC;
SELECT level, COUNT(*) FROM customers GROUP BY level ORDER BY level;
SELECT flags, COUNT(*) FROM customers GROUP BY flags;
SELECT born, COUNT(*) FROM customers GROUP BY born ORDER BY born;
SELECT points, COUNT(*), SUM(points) FROM customers GROUP BY points ORDER BY points DESC;
SELECT score, COUNT(*) FROM customers GROUP BY score ORDER BY score;
SELECT balance, COUNT(*) FROM customers GROUP BY balance ORDER BY balance LIMIT 10;
SELECT seen, COUNT(*) FROM customers GROUP BY seen ORDER BY seen LIMIT 10;
SELECT photo, COUNT(*) FROM customers GROUP BY photo ORDER BY photo;
SELECT tag, COUNT(*) FROM customers GROUP BY tag ORDER BY tag;
-- Which spelling stands for the group is not fixed; how many there are in each is
SELECT COUNT(*) FROM customers GROUP BY name;
SELECT COUNT(*), MIN(id) FROM customers GROUP BY name ORDER BY MIN(id);
SELECT COUNT(*), SUM(id) FROM customers GROUP BY city;
SELECT HEX(WEIGHT_STRING(name)) AS w, COUNT(*) FROM customers GROUP BY w;
SELECT LOWER(status), COUNT(*) FROM orders WHERE status IN ('paid', 'lost') GROUP BY LOWER(status);
SELECT COUNT(*), SUM(total), AVG(total) FROM orders GROUP BY status;
SELECT id % 3, COUNT(*) FROM customers GROUP BY id % 3;
SELECT id % 3 AS rest, COUNT(*) FROM customers GROUP BY rest ORDER BY rest;
SELECT YEAR(born), COUNT(*) FROM customers GROUP BY YEAR(born) ORDER BY YEAR(born);
SELECT DATE(created) AS day, SUM(total) FROM orders GROUP BY day ORDER BY day LIMIT 10;
SELECT region_id IS NULL, COUNT(*) FROM customers GROUP BY region_id IS NULL;
SELECT region_id + 1, COUNT(*) FROM customers GROUP BY region_id + 1;
SELECT region_id + 1, COUNT(*) FROM customers GROUP BY region_id;
SELECT region_id, region_id * 2, COUNT(*) FROM customers GROUP BY region_id;
SELECT region_id, 'x', COUNT(*) FROM customers GROUP BY region_id;
SELECT region_id, COUNT(*) + 1, SUM(balance) / 2 FROM customers GROUP BY region_id;
SELECT region_id, COUNT(*) FROM customers WHERE level = 'gold' AND id > 10 GROUP BY region_id;
-- Groups by the key are whole on their shard
SELECT customer_id, COUNT(*), SUM(total) FROM orders GROUP BY customer_id;
SELECT customer_id, COUNT(*) AS n FROM orders GROUP BY customer_id ORDER BY n DESC, customer_id LIMIT 10;
SELECT customer_id, COUNT(*) FROM orders GROUP BY customer_id HAVING COUNT(*) > 5 ORDER BY customer_id;
SELECT customer_id, status, COUNT(*) FROM orders WHERE status IN ('paid', 'lost') GROUP BY customer_id, status;
SELECT COUNT(DISTINCT status), customer_id FROM orders GROUP BY customer_id;
SELECT customer_id, GROUP_CONCAT(id ORDER BY id) FROM orders GROUP BY customer_id;
SELECT customer_id % 10, COUNT(*) FROM orders GROUP BY customer_id % 10;
SELECT customer_id + 0 AS k, COUNT(*) FROM orders GROUP BY k ORDER BY k LIMIT 12;
SELECT -customer_id AS customer_id, COUNT(*) FROM orders GROUP BY customer_id;
SELECT ref AS customer_id, COUNT(*) FROM orders GROUP BY ref;
SELECT id % 4 AS customer_id, COUNT(*) FROM orders GROUP BY customer_id % 2, id % 4;
SELECT customer_id, AVG(total), STDDEV(total), MAX(total) - MIN(total) FROM orders GROUP BY customer_id;
-- LIMIT below GROUP BY. vitess 13180, 16263; ShardingSphere 2062, 10806, 320, 29841, 32469
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id ORDER BY region_id LIMIT 2;
SELECT region_id, COUNT(*) AS n FROM customers GROUP BY region_id ORDER BY n, region_id LIMIT 1;
SELECT ref, SUM(total) AS s FROM orders GROUP BY ref ORDER BY s DESC, ref LIMIT 5;
SELECT ref, COUNT(*) FROM orders GROUP BY ref ORDER BY ref LIMIT 7 OFFSET 3;
SELECT ref, COUNT(*), SUM(id) FROM orders GROUP BY ref ORDER BY SUM(id) LIMIT 5;
SELECT ref, COUNT(DISTINCT status) FROM orders GROUP BY ref ORDER BY ref LIMIT 5;
-- LIMIT 0: nothing is computed, and columns may be described otherwise
SELECT -total AS v, COUNT(*) FROM orders GROUP BY -total ORDER BY -total LIMIT 0;
SELECT -total AS v, COUNT(*) FROM orders GROUP BY -total LIMIT 0;
SELECT -total AS v, AVG(total) FROM orders GROUP BY v ORDER BY v LIMIT 3, 0;
SELECT COUNT(*), SUM(total), AVG(total) FROM orders LIMIT 0;
SELECT COUNT(*) FROM orders LIMIT 0 OFFSET 2;
SELECT DISTINCT -total FROM orders LIMIT 0;
SELECT ref, COUNT(DISTINCT status) FROM orders GROUP BY ref HAVING COUNT(*) > 1 LIMIT 0;
SELECT ref, MAX(created) FROM orders GROUP BY ref ORDER BY MAX(created) DESC, ref LIMIT 5;
SELECT ref FROM orders GROUP BY ref ORDER BY SUM(total) DESC, ref LIMIT 5;
SELECT ref, AVG(total) FROM orders GROUP BY ref ORDER BY AVG(total), ref LIMIT 5;
-- count
SELECT ref, COUNT(*) FROM orders GROUP BY ref LIMIT 5;
-- HAVING. Gaea 281; MyCat
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id HAVING COUNT(*) > 60;
SELECT region_id, COUNT(*) AS n FROM customers GROUP BY region_id HAVING n > 60 AND n < 70;
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id HAVING region_id > 1;
SELECT region_id, SUM(balance) FROM customers GROUP BY region_id HAVING SUM(balance) > 100000;
SELECT region_id, AVG(balance) FROM customers GROUP BY region_id HAVING AVG(balance) > 4000 OR region_id IS NULL;
SELECT region_id FROM customers GROUP BY region_id HAVING MAX(id) = 300;
SELECT ref, COUNT(*) FROM orders GROUP BY ref HAVING COUNT(*) >= 6 ORDER BY ref;
SELECT ref, COUNT(*) FROM orders GROUP BY ref HAVING COUNT(*) >= 6 ORDER BY ref LIMIT 3;
SELECT ref, COUNT(*) FROM orders GROUP BY ref HAVING COUNT(DISTINCT status) > 3 ORDER BY ref;
SELECT COUNT(*) FROM customers HAVING COUNT(*) > 1000;
SELECT COUNT(*) FROM customers HAVING COUNT(*) > 100;
SELECT id, name FROM customers HAVING id < 10;
SELECT id AS x FROM customers HAVING x < 10 ORDER BY x;
SELECT SUM(total) FROM orders GROUP BY ref HAVING SUM(total) > (SELECT AVG(balance) FROM customers WHERE id = 1);
-- PgDog 1172: aggregates among columns; 638
SELECT level, region_id, COUNT(*), SUM(balance), MIN(id) FROM customers GROUP BY level, region_id ORDER BY level, region_id;
SELECT COUNT(1), region_id FROM customers GROUP BY region_id ORDER BY 2;
-- MyCat 1604, 1874: SUM and AVG keep their digits. vitess 15192: the type of SUM
SELECT SUM(price), AVG(price), SUM(quantity), AVG(quantity), SUM(price + 0e0) FROM items;
SELECT product IS NULL, SUM(price), AVG(price) FROM items GROUP BY product IS NULL;
SELECT order_id % 5 AS k, SUM(price), AVG(price) FROM items GROUP BY k ORDER BY k;
SELECT SUM(total), SUM(id), SUM(discount) FROM orders;
SELECT SUM(points) FROM customers WHERE points = 4294967295;
-- WITH ROLLUP
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id WITH ROLLUP;
SELECT region_id, level, SUM(balance) FROM customers GROUP BY region_id, level WITH ROLLUP;
SELECT customer_id, COUNT(*) FROM orders GROUP BY customer_id WITH ROLLUP;
-- only: mysql
SELECT region_id, GROUPING(region_id), COUNT(*) FROM customers GROUP BY region_id WITH ROLLUP;
-- DISTINCT. ShardingSphere 4565, 37852, 14341, 39429
SELECT DISTINCT region_id FROM customers;
SELECT DISTINCT region_id FROM customers ORDER BY region_id;
SELECT DISTINCT region_id FROM customers ORDER BY region_id DESC LIMIT 2;
SELECT DISTINCT region_id FROM customers ORDER BY region_id LIMIT 2, 2;
SELECT DISTINCT region_id, level FROM customers ORDER BY level, region_id;
SELECT DISTINCT level FROM customers;
SELECT DISTINCT flags FROM customers;
SELECT DISTINCT born FROM customers ORDER BY born;
SELECT DISTINCT points FROM customers;
SELECT DISTINCT score FROM customers ORDER BY score DESC;
SELECT DISTINCT balance FROM customers ORDER BY balance LIMIT 5;
SELECT DISTINCT tag FROM customers;
-- count
SELECT DISTINCT name FROM customers;
-- count
SELECT DISTINCT city FROM customers;
SELECT DISTINCT id FROM customers;
SELECT DISTINCT customer_id FROM orders;
SELECT DISTINCT customer_id, status IS NULL FROM orders;
SELECT DISTINCT * FROM regions;
SELECT DISTINCT * FROM customers;
SELECT DISTINCT region_id + 1 FROM customers;
SELECT DISTINCT id % 5 FROM customers ORDER BY id % 5;
SELECT DISTINCT NULL FROM customers;
SELECT DISTINCT 1 FROM customers;
SELECT DISTINCT COUNT(*) FROM customers GROUP BY region_id;
SELECT DISTINCT COUNT(*) FROM orders GROUP BY customer_id;
SELECT DISTINCTROW region_id FROM customers;
SELECT DISTINCT wakes FROM customers WHERE id < 20;
-- count
SELECT DISTINCT ref FROM orders LIMIT 9;
-- vitess 11625: columns beside the groups
-- only: mysql
SELECT id, name, COUNT(*) FROM customers GROUP BY id;
SELECT MAX(id), region_id FROM customers GROUP BY region_id ORDER BY NULL;
