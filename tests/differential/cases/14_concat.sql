-- GROUP_CONCAT over several shards. Without an order it may come in any.
SELECT GROUP_CONCAT(id ORDER BY id) FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(id ORDER BY id DESC) FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(id ORDER BY id SEPARATOR '; ') FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(id ORDER BY id SEPARATOR '') FROM customers WHERE id < 90;
SELECT region_id, GROUP_CONCAT(id ORDER BY id) FROM customers WHERE id < 90 GROUP BY region_id;
SELECT region_id, GROUP_CONCAT(id ORDER BY id), COUNT(*), SUM(points), AVG(balance) FROM customers WHERE id < 90 GROUP BY region_id ORDER BY region_id;
SELECT region_id, GROUP_CONCAT(id ORDER BY points DESC, id) AS g FROM customers WHERE id < 90 GROUP BY region_id ORDER BY 1;
SELECT level, GROUP_CONCAT(tag, '-', id ORDER BY id SEPARATOR ' | ') FROM customers WHERE id < 60 GROUP BY level ORDER BY level;
SELECT GROUP_CONCAT(DISTINCT region_id) FROM customers WHERE region_id = 3;
SELECT GROUP_CONCAT(DISTINCT region_id ORDER BY region_id) FROM customers;
SELECT GROUP_CONCAT(DISTINCT region_id ORDER BY region_id DESC SEPARATOR '/') FROM customers;
SELECT level, GROUP_CONCAT(DISTINCT tag ORDER BY tag) FROM customers GROUP BY level ORDER BY level;
SELECT level, GROUP_CONCAT(DISTINCT region_id ORDER BY region_id), COUNT(DISTINCT region_id), COUNT(*) FROM customers GROUP BY level ORDER BY level;
SELECT level, GROUP_CONCAT(DISTINCT region_id ORDER BY region_id) AS g FROM customers GROUP BY level HAVING COUNT(*) > 70 ORDER BY COUNT(*);
SELECT GROUP_CONCAT(id ORDER BY id), GROUP_CONCAT(points ORDER BY id SEPARATOR '+') FROM customers WHERE id < 60;
SELECT GROUP_CONCAT(id ORDER BY id), GROUP_CONCAT(points ORDER BY points) FROM customers WHERE id < 60;
SELECT GROUP_CONCAT(DISTINCT level ORDER BY level) FROM customers;
SELECT GROUP_CONCAT(DISTINCT born ORDER BY born DESC) FROM customers WHERE id < 30;
SELECT GROUP_CONCAT(id ORDER BY id) FROM customers WHERE id < 0;
SELECT region_id, GROUP_CONCAT(id ORDER BY id) FROM customers WHERE id < 0 GROUP BY region_id;
SELECT GROUP_CONCAT(points ORDER BY id) FROM customers WHERE points IS NULL;
SELECT GROUP_CONCAT(points ORDER BY points DESC, id) FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(points, ':', id ORDER BY id DESC, points) FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(total ORDER BY customer_id, id) FROM orders WHERE customer_id < 20;
SELECT GROUP_CONCAT(id ORDER BY id % 7, id) FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(id ORDER BY tag, id) FROM customers WHERE id < 90;
-- count
SELECT GROUP_CONCAT(id) FROM customers WHERE id < 90;
-- count
SELECT region_id, GROUP_CONCAT(name) FROM customers WHERE id < 60 GROUP BY region_id;
SELECT GROUP_CONCAT(id ORDER BY 1) FROM customers WHERE id < 90;
SELECT GROUP_CONCAT(DISTINCT points ORDER BY id) FROM customers WHERE id < 60;
SELECT CONCAT('x', GROUP_CONCAT(id ORDER BY id)) FROM customers WHERE id < 60;
SELECT region_id, GROUP_CONCAT(id ORDER BY id) AS g FROM customers WHERE id < 60 GROUP BY region_id ORDER BY g;
SELECT customer_id, GROUP_CONCAT(id ORDER BY id) FROM orders GROUP BY customer_id ORDER BY customer_id;
SELECT customer_id, GROUP_CONCAT(id ORDER BY id) AS g FROM orders WHERE id < 99 GROUP BY customer_id ORDER BY customer_id LIMIT 5;
-- only: mysql
SELECT GROUP_CONCAT(id ORDER BY id) FROM orders;
