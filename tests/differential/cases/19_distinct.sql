-- Several aggregates that are DISTINCT
SELECT COUNT(DISTINCT region_id), COUNT(DISTINCT level) FROM customers;
SELECT COUNT(DISTINCT name), COUNT(DISTINCT city), COUNT(DISTINCT tag), COUNT(*) FROM customers;
SELECT region_id, COUNT(DISTINCT level), COUNT(DISTINCT name), SUM(points), MIN(id) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT COUNT(DISTINCT ref), SUM(DISTINCT total), AVG(DISTINCT total), COUNT(total), AVG(total) FROM orders;
SELECT ref, COUNT(DISTINCT status), SUM(DISTINCT total), MAX(total) FROM orders GROUP BY ref ORDER BY ref;
SELECT COUNT(DISTINCT ref, total), COUNT(DISTINCT ref), COUNT(DISTINCT total, ref) FROM orders;
SELECT COUNT(DISTINCT born), COUNT(DISTINCT joined), COUNT(DISTINCT photo) FROM customers;
SELECT COUNT(DISTINCT ref), COUNT(DISTINCT total) FROM orders WHERE id < 0;
SELECT ref, COUNT(DISTINCT total), COUNT(DISTINCT created) FROM orders WHERE id < 0 GROUP BY ref;
SELECT region_id, COUNT(DISTINCT level), COUNT(DISTINCT city) FROM customers GROUP BY region_id HAVING COUNT(DISTINCT city) > 5 ORDER BY COUNT(DISTINCT name) DESC, region_id;
SELECT COUNT(DISTINCT id % 7), COUNT(DISTINCT id % 5), SUM(DISTINCT id % 5) FROM customers;
SELECT COUNT(DISTINCT customer_id), COUNT(DISTINCT ref) FROM orders;
SELECT customer_id, COUNT(DISTINCT ref), COUNT(DISTINCT total) FROM orders GROUP BY customer_id ORDER BY customer_id;
SELECT COUNT(DISTINCT ref) + COUNT(DISTINCT status), ROUND(AVG(DISTINCT total), 1) FROM orders;
SELECT COUNT(DISTINCT region_id), GROUP_CONCAT(DISTINCT level ORDER BY level) FROM customers;
SELECT SUM(DISTINCT score), COUNT(DISTINCT region_id), STDDEV(points) FROM customers;
SELECT region_id, UPPER(MIN(name)), COUNT(DISTINCT level), COUNT(DISTINCT tag) FROM customers GROUP BY region_id ORDER BY region_id;
-- TIME
SELECT id, wakes FROM customers ORDER BY wakes, id LIMIT 40;
SELECT id FROM customers ORDER BY wakes DESC, id LIMIT 40;
SELECT MIN(wakes), MAX(wakes) FROM customers;
SELECT region_id, MIN(wakes), MAX(wakes) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT wakes, COUNT(*) FROM customers GROUP BY wakes ORDER BY wakes;
SELECT DISTINCT wakes FROM customers ORDER BY wakes;
SELECT COUNT(DISTINCT wakes) FROM customers;
SELECT id FROM customers WHERE wakes = (SELECT MAX(wakes) FROM customers) ORDER BY id;
SELECT ADDTIME(wakes, '01:00:00') AS t, id FROM customers ORDER BY t, id LIMIT 30;
SELECT ADDTIME(wakes, '-900:00:00') AS t, id FROM customers ORDER BY t DESC, id LIMIT 30;
SELECT TIMEDIFF(joined, '2015-01-01 10:00:00') AS t, COUNT(*) FROM customers GROUP BY t ORDER BY t;
SELECT wakes FROM customers UNION SELECT wakes FROM customers ORDER BY wakes;
-- ENUM and SET
SELECT MIN(level), MAX(level) FROM customers;
SELECT region_id, MIN(level), MAX(level), MAX(flags) FROM customers GROUP BY region_id ORDER BY region_id;
