-- Variances of exact numbers
SELECT VARIANCE(id), STDDEV(id), STD(id), VAR_POP(id), STDDEV_POP(id), VAR_SAMP(id), STDDEV_SAMP(id) FROM customers;
SELECT VARIANCE(balance), STDDEV(balance), VAR_SAMP(balance), STDDEV_SAMP(balance) FROM customers;
SELECT region_id, VARIANCE(points), STDDEV(points), VAR_SAMP(points), COUNT(*) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT ref, STDDEV(total), COUNT(*), SUM(total), AVG(total) FROM orders GROUP BY ref ORDER BY ref;
SELECT ref, STDDEV(total) AS s FROM orders GROUP BY ref ORDER BY s DESC, ref;
SELECT STDDEV(id), VAR_SAMP(id) FROM customers WHERE id < 0;
SELECT STDDEV(id), STDDEV_SAMP(id), VAR_SAMP(balance) FROM customers WHERE id = 7 OR id < 0;
SELECT STDDEV(customer_id * 2 + 1), VARIANCE(total / 3) FROM orders;
SELECT STDDEV(id * 1000000000000), VAR_SAMP(id * 1000000000000) FROM customers;
SELECT VARIANCE(price), STDDEV_SAMP(quantity) FROM items;
SELECT quantity, VARIANCE(price) FROM items GROUP BY quantity ORDER BY quantity;
SELECT STDDEV(points), COUNT(DISTINCT region_id) FROM customers;
SELECT region_id, STDDEV(points), COUNT(DISTINCT level) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT VARIANCE(points) + 1 FROM customers;
SELECT region_id FROM customers GROUP BY region_id HAVING STDDEV(points) > 10;
-- Doubles, whose sum is as near as the order of the rows lets it be
SELECT SUM(score), AVG(score), STDDEV(score), VARIANCE(score), VAR_SAMP(score), STDDEV_SAMP(score) FROM customers;
SELECT region_id, SUM(score), AVG(score), STDDEV(score), COUNT(*) FROM customers GROUP BY region_id ORDER BY region_id;
SELECT ref, SUM(discount), AVG(discount), VARIANCE(discount) FROM orders GROUP BY ref ORDER BY ref;
SELECT SUM(discount), AVG(discount), STD(discount) FROM orders WHERE id < 0;
SELECT SUM(discount * 1e20), AVG(discount * 1e-20), SUM(discount) FROM orders;
SELECT SUM(total + 0e0), AVG(total * 1e0), VARIANCE(total + 0e0) FROM orders;
SELECT SUM(name), AVG(name) FROM customers WHERE name IS NULL;
SELECT SUM(DISTINCT score) FROM customers;
SELECT SUM(score) / 2 FROM customers;
SELECT region_id FROM customers GROUP BY region_id HAVING SUM(score) > 10;
SELECT ref, SUM(discount) AS s FROM orders GROUP BY ref ORDER BY s DESC, ref;
SELECT DISTINCT SUM(discount) FROM orders;
