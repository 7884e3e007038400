-- What shards send is ordered, folded and computed into what one server says.

-- -- ORDER BY: positions, expressions, aliases -------------------------------------------------------------------
SELECT id, name FROM customers ORDER BY 1;
SELECT id, name FROM customers ORDER BY 1 DESC LIMIT 7;
SELECT region_id, id FROM customers ORDER BY 1 DESC, 2;
SELECT region_id, id FROM customers ORDER BY 2 DESC, 1;
SELECT id, points + region_id AS p FROM customers ORDER BY 2, id;
SELECT id, points + region_id FROM customers ORDER BY points + region_id, id LIMIT 20;
SELECT id FROM customers ORDER BY points + region_id, id LIMIT 20;
SELECT id FROM customers ORDER BY points % 7, points % 3 DESC, id;
SELECT id FROM customers ORDER BY points % 3, points % 7 DESC, id;
SELECT id FROM customers ORDER BY -id;
SELECT id FROM customers ORDER BY ABS(id - 150), id LIMIT 9;
-- count
SELECT UPPER(name) FROM customers ORDER BY UPPER(name);
SELECT UPPER(name) AS n, id FROM customers ORDER BY n, id;
SELECT id FROM customers ORDER BY UPPER(city), id;
SELECT id FROM customers ORDER BY LOWER(city) DESC, id LIMIT 40;
SELECT id FROM customers ORDER BY CONCAT(name, '-', city), id;
SELECT id, CONCAT(name, '-', tag) AS c FROM customers ORDER BY c DESC, id;
SELECT id FROM customers ORDER BY LEFT(tag, 1), id;
SELECT id FROM customers ORDER BY REVERSE(tag), id;
SELECT id FROM customers ORDER BY CONCAT(tag, ' '), id;
SELECT id FROM customers ORDER BY CONCAT(city, '  '), id;
SELECT id FROM customers ORDER BY COALESCE(name, city, 'x'), id;
SELECT id FROM customers ORDER BY name IS NULL, name = 'zoe', id;
SELECT id FROM customers ORDER BY CASE WHEN region_id = 1 THEN 'b' WHEN region_id = 2 THEN 'A' END, id;
SELECT id FROM customers ORDER BY CASE level WHEN 'gold' THEN 1 WHEN 'silver' THEN 2 ELSE 3 END, id;
SELECT id FROM customers ORDER BY LENGTH(note), id;
SELECT id FROM customers ORDER BY YEAR(born), MONTH(born) DESC, id;
SELECT id FROM customers ORDER BY DATE(joined), id;
SELECT id FROM customers ORDER BY DATE_FORMAT(joined, '%Y-%m'), id;
SELECT id FROM customers ORDER BY born + INTERVAL 1 DAY, id;
SELECT id FROM customers ORDER BY balance * 2 DESC, id;
SELECT id FROM customers ORDER BY balance / 3, id;
SELECT id FROM customers ORDER BY score * 2, id;
SELECT id FROM customers ORDER BY 1 + 1, id;
SELECT id FROM customers ORDER BY FIELD(region_id, 3, 1), id;
SELECT id FROM customers ORDER BY HEX(photo), id;
SELECT id FROM customers ORDER BY CAST(photo AS BINARY), id;
SELECT id FROM customers ORDER BY (id), (name);
SELECT id FROM customers ORDER BY customers.id % 10, CUSTOMERS.ID;
SELECT id, id % 10 FROM customers ORDER BY customers.id % 10, id;
SELECT * FROM customers ORDER BY id % 10, id LIMIT 5;
SELECT id FROM customers ORDER BY 1, 2;
SELECT name AS id, id AS name FROM customers ORDER BY id + 0, name;
SELECT c.id, o.id FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.total - c.balance, o.id;
SELECT id FROM customers ORDER BY TRIM(name), id LIMIT 5 OFFSET 100;
SELECT id FROM customers ORDER BY name COLLATE utf8mb4_bin, id;
SELECT id FROM customers ORDER BY BINARY name, id;
SELECT id FROM customers ORDER BY IF(points > 5, points, NULL), id;
SELECT id FROM customers ORDER BY GREATEST(id, region_id), id;
SELECT id FROM customers ORDER BY NULL, id;
SELECT id FROM customers ORDER BY SUBSTRING(name, 2), id;
-- ties: 2
SELECT id, COUNT(*) OVER (PARTITION BY id) AS n FROM customers ORDER BY 2;

-- The weights are of one type on one shard, and of another on the next.
SELECT a.price, a.product FROM items a WHERE a.customer_id IN (SELECT s.id FROM customers s WHERE s.id = a.customer_id) ORDER BY a.price, COALESCE(a.shipped, 'none') DESC, a.customer_id, a.order_id, a.line;

-- -- DISTINCT ----------------------------------------------------------------------------------------------------
SELECT DISTINCT region_id + 1 FROM customers;
SELECT DISTINCT region_id + 1, level FROM customers ORDER BY 1, 2;
SELECT DISTINCT points % 7 AS p FROM customers ORDER BY p DESC;
SELECT DISTINCT YEAR(born), region_id FROM customers ORDER BY 2 DESC, 1;
SELECT DISTINCT CONCAT(tag, '!') FROM customers;
SELECT DISTINCT CONCAT(tag, '!') AS t FROM customers ORDER BY t LIMIT 4;
-- count
SELECT DISTINCT UPPER(name) FROM customers;
-- count
SELECT DISTINCT LOWER(city) FROM customers;
SELECT DISTINCT DATE_FORMAT(joined, '%Y-%m') AS m FROM customers ORDER BY m;
SELECT DISTINCT DATE(joined) AS d FROM customers ORDER BY 1 LIMIT 3, 5;
SELECT DISTINCT 'x' FROM customers;
SELECT DISTINCT region_id, 'x' AS x FROM customers ORDER BY region_id;
SELECT DISTINCT balance > 10, region_id IS NULL FROM customers;
SELECT DISTINCT COALESCE(region_id, 0) FROM customers WHERE id > 5;

-- -- GROUP BY positions, aliases, expressions ----------------------------------------------------------------------
SELECT region_id, COUNT(*) FROM customers GROUP BY 1;
SELECT region_id, level, COUNT(*) FROM customers GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2;
SELECT level, region_id, COUNT(*) FROM customers GROUP BY 2, 1 ORDER BY 1, 2;
SELECT region_id AS r, COUNT(*) AS n FROM customers GROUP BY r ORDER BY r;
SELECT points % 7, COUNT(*) FROM customers GROUP BY points % 7;
SELECT points % 7, COUNT(*) FROM customers GROUP BY points % 5;
SELECT points % 5, COUNT(*) FROM customers GROUP BY points % 5 ORDER BY points % 5 DESC;
SELECT points % 5 AS p, SUM(balance) FROM customers GROUP BY p ORDER BY SUM(balance);
SELECT COUNT(*) FROM customers GROUP BY points % 5;
SELECT YEAR(born) AS y, MIN(id), MAX(id) FROM customers GROUP BY y ORDER BY y;
SELECT YEAR(born), MONTH(born), COUNT(*) FROM customers GROUP BY YEAR(born), MONTH(born) ORDER BY 1, 2;
SELECT DATE(joined) AS d, COUNT(*) FROM customers GROUP BY DATE(joined) ORDER BY d LIMIT 10;
SELECT DATE_FORMAT(joined, '%Y-%m') AS m, COUNT(*), SUM(points) FROM customers GROUP BY m ORDER BY m;
SELECT DATE_FORMAT(created, '%Y') AS y, COUNT(*) FROM orders GROUP BY DATE_FORMAT(created, '%Y') ORDER BY 2, 1;
SELECT CONCAT(tag, '!') AS t, COUNT(*) FROM customers GROUP BY t ORDER BY t;
-- ties: 1
SELECT COUNT(*) AS n, SUM(id) FROM customers GROUP BY LOWER(name) ORDER BY n;
SELECT COUNT(*) AS n FROM customers GROUP BY UPPER(name) ORDER BY n;
SELECT COUNT(*), SUM(id) FROM customers GROUP BY UPPER(city);
SELECT COUNT(*), SUM(id) FROM customers GROUP BY LEFT(name, 2);
SELECT COUNT(*), SUM(id) FROM customers GROUP BY CONCAT(name, city);
SELECT COUNT(*), SUM(id) FROM customers GROUP BY name, TRIM(tag);
SELECT region_id IS NULL AS none, COUNT(*) FROM customers GROUP BY none;
SELECT CASE WHEN balance > 4000 THEN 'rich' ELSE 'poor' END AS k, COUNT(*) FROM customers GROUP BY k ORDER BY k;
SELECT CASE WHEN balance > 4000 THEN 1 ELSE 0 END AS k, COUNT(*), AVG(balance) FROM customers GROUP BY 1 ORDER BY 1;
SELECT FLOOR(balance / 1000) AS b, COUNT(*) FROM customers GROUP BY b ORDER BY b;
SELECT r.name, COUNT(*) FROM customers c JOIN regions r ON r.id = c.region_id GROUP BY 1 ORDER BY 1;
SELECT o.status = 'new', COUNT(*), SUM(o.total) FROM orders o GROUP BY 1;
SELECT score > 5 AS s, COUNT(*) FROM customers GROUP BY s ORDER BY s;
SELECT name AS region_id, COUNT(*) FROM customers GROUP BY customers.region_id, name ORDER BY 2 DESC LIMIT 0;

-- -- beside aggregates ---------------------------------------------------------------------------------------------
SELECT 'x', COUNT(*) FROM customers;
SELECT 'x' AS x, 1, NULL, region_id, COUNT(*) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT region_id + 1, region_id * 2 AS d, COUNT(*) FROM customers GROUP BY region_id ORDER BY d DESC;
SELECT UPPER(tag), COUNT(*) FROM customers GROUP BY tag ORDER BY tag;
SELECT UPPER(tag) AS u, COUNT(*) FROM customers GROUP BY tag ORDER BY COUNT(*), tag;
SELECT CONCAT(level, '/', region_id), COUNT(*) FROM customers GROUP BY level, region_id ORDER BY level, region_id;
SELECT region_id, MIN(born) AS m FROM customers GROUP BY region_id ORDER BY m, region_id;
SELECT region_id, MAX(tag) AS m FROM customers GROUP BY region_id ORDER BY m DESC, region_id;
SELECT region_id, MIN(balance) FROM customers GROUP BY region_id ORDER BY MIN(balance);
SELECT region_id FROM customers GROUP BY region_id ORDER BY COUNT(*) DESC, region_id;
SELECT region_id FROM customers GROUP BY region_id ORDER BY SUM(balance) DESC LIMIT 2;
SELECT region_id FROM customers GROUP BY region_id ORDER BY MAX(joined), 1;
SELECT region_id FROM customers GROUP BY region_id ORDER BY AVG(points), 1;
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id ORDER BY MAX(UPPER(tag)), 1;
-- count
SELECT level, COUNT(*) FROM customers GROUP BY level ORDER BY region_id;
SELECT SUM(balance), SUM(balance), COUNT(*), AVG(balance), AVG(balance) FROM customers;
SELECT SUM(CASE WHEN region_id = 1 THEN balance ELSE 0 END), SUM(region_id = 2) FROM customers;
SELECT AVG(balance * 2), AVG(points + 1), AVG(CASE WHEN id > 50 THEN points END) FROM customers;
SELECT MIN(UPPER(tag)), MAX(CONCAT(tag, 'x')), MIN(points % 5), MAX(DATE(joined)) FROM customers;
SELECT region_id, MAX(balance / 3), MIN(balance * points) FROM customers GROUP BY region_id;
SELECT AVG(price), AVG(quantity), SUM(price * quantity) FROM items;
SELECT product, AVG(price * 1.000001), AVG(price * 1.01) FROM items WHERE product <> 'pen' AND product <> 'paper' GROUP BY product ORDER BY product;
SELECT order_id % 3, AVG(price * 0.001), AVG(price * 0.00001), AVG(price * 0.1000) FROM items GROUP BY 1;

-- -- HAVING --------------------------------------------------------------------------------------------------------
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id HAVING COUNT(*) > 55;
SELECT region_id, COUNT(*) AS n FROM customers GROUP BY region_id HAVING n > 55 ORDER BY n;
SELECT region_id FROM customers GROUP BY region_id HAVING COUNT(*) BETWEEN 40 AND 65 ORDER BY 1;
SELECT region_id FROM customers GROUP BY region_id HAVING SUM(balance) > 100000.50 AND COUNT(points) >= 10;
SELECT region_id FROM customers GROUP BY region_id HAVING region_id IN (1, 3) OR region_id IS NULL;
SELECT region_id FROM customers GROUP BY region_id HAVING NOT region_id IN (1, 3);
SELECT region_id FROM customers GROUP BY region_id HAVING NOT (region_id IN (1, 3)) AND NOT (COUNT(*) < 50);
SELECT region_id FROM customers GROUP BY region_id HAVING region_id NOT IN (1, 3) ORDER BY region_id;
SELECT region_id FROM customers GROUP BY region_id HAVING NOT (region_id > 2);
SELECT region_id FROM customers GROUP BY region_id HAVING region_id <=> 2;
SELECT region_id, SUM(points) FROM customers GROUP BY region_id HAVING SUM(points) IS NOT NULL;
SELECT born FROM customers GROUP BY born HAVING COUNT(*) > 1 AND SUM(balance) IS NULL;
SELECT born, SUM(points) FROM customers GROUP BY born HAVING SUM(points) > 10 OR SUM(balance) < 0 ORDER BY born;
SELECT points, MIN(balance), MAX(balance) FROM customers GROUP BY points HAVING MIN(balance) < 0 AND MAX(balance) > 100 ORDER BY points;
SELECT points FROM customers GROUP BY points HAVING AVG(balance) > 3000 ORDER BY points;
SELECT points FROM customers GROUP BY points HAVING AVG(region_id) = 2 ORDER BY points;
SELECT points FROM customers GROUP BY points HAVING SUM(balance) / COUNT(*) > 3000 ORDER BY points;
SELECT points FROM customers GROUP BY points HAVING COUNT(*) * 2 - 1 > 9 ORDER BY points;
SELECT points % 5 AS p, COUNT(*) FROM customers GROUP BY p HAVING p > 2 ORDER BY p;
SELECT points % 5, COUNT(*) FROM customers GROUP BY 1 HAVING COUNT(DISTINCT region_id) > 4 ORDER BY 1;
SELECT COUNT(*) FROM customers HAVING COUNT(*) > 1000;
SELECT COUNT(*) FROM customers HAVING COUNT(*) > 10;
SELECT SUM(points) FROM customers WHERE id < 0 HAVING SUM(points) > 1;
SELECT level, COUNT(*) FROM customers GROUP BY level HAVING level = 'gold';
SELECT level, MIN(born) FROM customers GROUP BY level HAVING MIN(born) < '1955-01-01';
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id HAVING COUNT(*) > '55';
SELECT region_id FROM customers GROUP BY region_id HAVING COUNT(*);
SELECT id FROM customers HAVING id > 290 ORDER BY id;
SELECT id, points + 1 AS p FROM customers HAVING p > 20 ORDER BY id;
SELECT region_id, COUNT(*) FROM customers GROUP BY region_id HAVING MAX(id) > 295.5 ORDER BY 2 LIMIT 3;

-- -- DISTINCT in aggregates ----------------------------------------------------------------------------------------
SELECT COUNT(DISTINCT region_id) FROM customers;
SELECT COUNT(DISTINCT name) FROM customers;
SELECT COUNT(DISTINCT city) FROM customers;
SELECT COUNT(DISTINCT tag), COUNT(*), SUM(balance), MIN(born), AVG(points) FROM customers;
SELECT COUNT(DISTINCT born), COUNT(born) FROM customers;
SELECT COUNT(DISTINCT level) FROM customers;
SELECT COUNT(DISTINCT photo) FROM customers;
SELECT COUNT(DISTINCT joined), COUNT(DISTINCT joined) + 1 FROM customers;
SELECT COUNT(DISTINCT score) FROM customers;
SELECT COUNT(DISTINCT id) FROM customers;
SELECT COUNT(DISTINCT customer_id), COUNT(DISTINCT customer_id) FROM orders;
SELECT COUNT(DISTINCT customer_id) AS n FROM orders GROUP BY status ORDER BY n DESC LIMIT 1;
SELECT region_id, COUNT(DISTINCT level) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT region_id, COUNT(DISTINCT name), COUNT(*), SUM(points) FROM customers GROUP BY region_id ORDER BY 2, 1;
SELECT level, COUNT(DISTINCT points) AS n FROM customers GROUP BY level HAVING n > 3 ORDER BY level;
SELECT SUM(DISTINCT points), AVG(DISTINCT points), COUNT(DISTINCT points) FROM customers;
SELECT region_id, SUM(DISTINCT points), AVG(DISTINCT points), MIN(DISTINCT balance) FROM customers GROUP BY region_id ORDER BY 1;
SELECT SUM(DISTINCT balance), MAX(DISTINCT tag) FROM customers;
SELECT COUNT(DISTINCT points % 5) FROM customers;
SELECT COUNT(DISTINCT UPPER(name)) FROM customers;
SELECT COUNT(DISTINCT DATE(joined)) FROM customers;
SELECT YEAR(born), COUNT(DISTINCT region_id) FROM customers GROUP BY YEAR(born) ORDER BY 1;
SELECT COUNT(DISTINCT region_id, level) FROM customers;
SELECT tag, COUNT(DISTINCT region_id, level) FROM customers GROUP BY tag ORDER BY tag;
SELECT COUNT(DISTINCT region_id), COUNT(DISTINCT level) FROM customers;
SELECT COUNT(DISTINCT region_id), SUM(DISTINCT points) FROM customers WHERE id < 0;
SELECT COUNT(DISTINCT region_id) + 1, SUM(points), BIT_AND(points) FROM customers WHERE id < 0;
SELECT 'x', COUNT(DISTINCT region_id) FROM customers;
SELECT region_id, COUNT(DISTINCT points) FROM customers WHERE id < 0 GROUP BY region_id;
SELECT c.region_id, COUNT(DISTINCT o.status) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.region_id ORDER BY 1;
SELECT c.region_id, COUNT(DISTINCT c.id), COUNT(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.region_id ORDER BY 1;

-- -- arithmetic of aggregates --------------------------------------------------------------------------------------
SELECT COUNT(*) + 1, COUNT(*) - 1000, -COUNT(*), 2 * COUNT(points) FROM customers;
SELECT SUM(balance) / COUNT(*), SUM(balance) / COUNT(balance), SUM(points) * 2 FROM customers;
SELECT SUM(balance) / SUM(points), SUM(points) / 7, COUNT(*) / 3 FROM customers;
SELECT ROUND(AVG(balance), 2), ROUND(AVG(points)), ROUND(SUM(balance), 1), ROUND(COUNT(*)) FROM customers;
SELECT region_id, ROUND(AVG(balance), 2) AS a FROM customers GROUP BY region_id ORDER BY a DESC;
SELECT region_id, ROUND(SUM(balance) / COUNT(*), 2) AS a FROM customers GROUP BY region_id ORDER BY a;
SELECT region_id, SUM(balance) / COUNT(*) AS a FROM customers GROUP BY region_id ORDER BY a;
SELECT region_id, 100 * COUNT(balance) / COUNT(*) FROM customers GROUP BY region_id ORDER BY 1;
SELECT COALESCE(SUM(balance), 0), IFNULL(SUM(points), 0) FROM customers WHERE id < 0;
SELECT COALESCE(SUM(balance), 0), IFNULL(SUM(points), 0.5), COALESCE(AVG(balance), 0) FROM customers;
SELECT region_id FROM customers GROUP BY region_id ORDER BY SUM(balance) / COUNT(*), 1;
SELECT region_id FROM customers GROUP BY region_id ORDER BY COUNT(*) + 1, 1;
SELECT SUM(balance) - SUM(points), SUM(balance) + COUNT(*), SUM(balance * 1.5) * 1.25 FROM customers;
SELECT SUM(points) / 0, SUM(points) / SUM(0) FROM customers;
SELECT SUM(price) / COUNT(*), SUM(price) / 7, SUM(price * 0.01) / 3, SUM(price) / 1.25 FROM items;
SELECT product, SUM(price) / SUM(quantity), ROUND(SUM(price) * 1.19, 2) FROM items WHERE product = 'cup' GROUP BY product;
SELECT MAX(id) - MIN(id), COUNT(*) % 7, COUNT(*) DIV 7 FROM customers;
SELECT SUM(score) / COUNT(*), AVG(score) FROM customers;
SELECT BIT_AND(points), BIT_OR(points), BIT_XOR(points) FROM customers;
SELECT region_id, BIT_OR(points), BIT_XOR(id) AS x FROM customers GROUP BY region_id ORDER BY x;
SELECT BIT_AND(points), BIT_OR(points), BIT_XOR(points) FROM customers WHERE id < 0;
SELECT ANY_VALUE(1), COUNT(*) FROM customers;
