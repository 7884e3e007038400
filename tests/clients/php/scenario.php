<?php
// mysqli and PDO as an application uses them: every step is printed as a line of JSON, [label, text].
// The last argument is the way, as JSON (see ../programs.py).

ini_set('memory_limit', '512M');
ini_set('precision', '17');
set_error_handler(function (int $level, string $message): bool {
    step('PHP says', preg_replace('/^.*?: /', '', $message));
    return true;
});
$way = json_decode($argv[$argc - 1]);

function shown(mixed $value): mixed
{
    if (is_string($value)) {
        return strlen($value) > 300 ? strlen($value) . ' bytes ' . hash('sha256', $value) : "'" . addcslashes($value, "\0..\37\\\177..\377") . "'";
    }
    if (is_array($value) || $value instanceof stdClass) {
        $texts = [];
        foreach ((array) $value as $key => $one) {
            $texts[] = "$key=" . shown($one);
        }
        return '[' . implode(', ', $texts) . ']';
    }
    if ($value instanceof mysqli_sql_exception) {
        return "error {$value->getCode()} {$value->getSqlState()} {$value->getMessage()}";
    }
    if ($value instanceof PDOException) {
        return 'error ' . json_encode($value->errorInfo) . " {$value->getCode()} {$value->getMessage()}";
    }
    if ($value instanceof Throwable) {
        return get_class($value) . " {$value->getMessage()}";
    }
    return gettype($value) . ' ' . var_export($value, true);
}

function step(string $label, mixed ...$values): void
{
    echo json_encode([$label, implode(', ', array_map('shown', $values))], JSON_UNESCAPED_SLASHES), "\n";
}

function attempt(string $label, callable $work): void
{
    try {
        step($label, $work());
    } catch (Throwable $error) {
        step($label, $error);
    }
}

function statements(): array
{
    global $way;
    // mysqlnd does not know vectors.
    return array_merge(file($way->statements, FILE_IGNORE_NEW_LINES), $way->flavor === 'mysql' ? ['ALTER TABLE types DROP COLUMN vec'] : []);
}

// --- mysqli -----------------------------------------------------------------------------------------------------------

function mysqli(int $flags = 0, ?string $user = null, ?string $password = null, ?string $database = null): mysqli
{
    global $way;
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 10);
    $db->options(MYSQLI_OPT_LOCAL_INFILE, 1);
    if ($flags & MYSQLI_CLIENT_SSL) {
        $db->ssl_set(null, null, $flags & MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT ? null : $way->ca, null, null);
    }
    $db->real_connect($way->host, $user ?? $way->user, $password ?? $way->password, $database ?? $way->database, $way->port, null, $flags);
    return $db;
}

function told(mysqli|mysqli_stmt $db): array
{
    return [$db->affected_rows, $db->insert_id, $db->errno, $db->sqlstate, $db->field_count, $db instanceof mysqli ? [$db->info, $db->warning_count] : null];
}

function fields(mysqli_result $result): array
{
    return array_map(fn($one) => [$one->name, $one->orgname, $one->table, $one->length, $one->charsetnr, $one->flags, $one->type, $one->decimals], $result->fetch_fields());
}

// All results of a statement in text.
function ask(mysqli $db, string $sql, bool $quiet = false): void
{
    attempt(substr($sql, 0, 200), function () use ($db, $sql, $quiet) {
        $seen = [];
        $db->multi_query($sql);
        do {
            $result = $db->store_result();
            $seen[] = $result ? [$quiet ? null : fields($result), $result->fetch_all(MYSQLI_NUM)] : told($db);
        } while ($db->more_results() && $db->next_result());
        return $seen;
    });
}

function execute(mysqli $db, string $sql, array $arguments): void
{
    attempt("execute $sql", function () use ($db, $sql, $arguments) {
        $statement = $db->prepare($sql);
        $about = [$statement->param_count, $statement->field_count];
        $statement->execute($arguments);
        $seen = [];
        do {
            $result = $statement->get_result();
            $seen[] = $result ? [fields($result), $result->fetch_all(MYSQLI_ASSOC)] : told($statement);
        } while ($statement->more_results() && $statement->next_result());
        $statement->close();
        return [$about, $seen];
    });
}

function with_mysqli(): void
{
    global $way;
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    foreach ([[null, null, null], [null, null, ''], [null, 'wrong', null], [null, '', null], ['nobody', 'x', null], [null, null, 'no_such_database']] as $login) {
        foreach ([0, MYSQLI_CLIENT_SSL, MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT, MYSQLI_CLIENT_COMPRESS, MYSQLI_CLIENT_FOUND_ROWS] as $flags) {
            attempt("login $flags $login[0] $login[2]", function () use ($flags, $login) {
                $db = mysqli($flags, ...$login);
                ask($db, 'SELECT DATABASE(), CURRENT_USER(), @@version, @@character_set_client, @@collation_connection');
                return [$db->server_info, $db->server_version, $db->protocol_version, $db->character_set_name(), $db->ping()];
            });
        }
    }
    $db = mysqli();
    foreach (statements() as $sql) {
        ask($db, $sql);
    }
    ask($db, 'SELECT * FROM types ORDER BY id');
    execute($db, 'SELECT * FROM types WHERE id > ? ORDER BY id', [0]);
    ask($db, 'SELECT * FROM zero ORDER BY id');
    execute($db, 'SELECT * FROM zero WHERE id > ? ORDER BY id', [0]);
    $db->options(MYSQLI_OPT_INT_AND_FLOAT_NATIVE, 1);
    ask($db, 'SELECT id, tiny, big, ubig, f, d, price, bits FROM types ORDER BY id');
    $db->options(MYSQLI_OPT_INT_AND_FLOAT_NATIVE, 0);
    mysqli_statements($db);
    mysqli_transactions($db);
    foreach (['SELEC 1', 'SELECT * FROM nowhere', 'SELECT nothing FROM t', 'CALL no_such_procedure()', 'SELECT no_such_function(1)', "INSERT INTO t (v) VALUES ('one'), ('one')", 'USE no_such_database',
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own é', MYSQL_ERRNO = 31000", 'SELECT 1 FROM t; SELECT * FROM nowhere; SELECT 2'] as $sql) {
        ask($db, $sql);
        execute($db, $sql, []);
        attempt("query $sql", fn() => $db->query($sql));
        step('properties', $db->errno, $db->sqlstate, $db->error);
    }
    mysqli_procedures($db);
    mysqli_rest($db);
    $db->close();
}

function mysqli_statements(mysqli $db): void
{
    ask($db, 'CREATE TABLE s (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, d DOUBLE, v LONGTEXT, b LONGBLOB)');
    $insert = $db->prepare('INSERT INTO s (n, d, v, b) VALUES (?, ?, ?, ?)');
    $insert->bind_param('idsb', $n, $d, $v, $b);
    foreach ([[null, null, null], [PHP_INT_MIN, -1.7976931348623157e308, "emoji 🐬 ' \" \\ \0"], [PHP_INT_MAX, 1.5, ''], [0, 0.0, str_repeat('ü', 70000)]] as [$n, $d, $v]) {
        $insert->send_long_data(3, str_repeat("\0\xff", 1000));
        $insert->send_long_data(3, (string) $v);
        $insert->execute();
        step('inserted', told($insert));
    }
    $insert->reset();
    $insert->close();
    execute($db, 'SELECT * FROM s WHERE id > ? ORDER BY id', [0]);
    execute($db, 'UPDATE s SET v = ? WHERE n IS NOT NULL', ['same']);
    execute($db, 'UPDATE s SET v = ? WHERE n IS NOT NULL', ['same']);
    execute($db, 'SELECT ?, ? + 1, CONCAT(?), ? IS NULL', [5, 1.5, 'é', null]);
    $select = $db->prepare('SELECT id, v FROM s WHERE id >= ? ORDER BY id');
    foreach ([[MYSQLI_CURSOR_TYPE_NO_CURSOR, false], [MYSQLI_CURSOR_TYPE_NO_CURSOR, true], [MYSQLI_CURSOR_TYPE_READ_ONLY, false]] as [$cursor, $store]) {
        $select->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, $cursor);
        $select->execute([2]);
        $select->bind_result($id, $text);
        if ($store) {
            $select->store_result();
            step('rows', $select->num_rows());
        }
        while ($select->fetch()) {
            step("bound $cursor", $id, $text);
        }
        $select->free_result();
    }
    $select->close();
    $open = [];
    for ($number = 0; $number < 20; $number++) {
        $open[$number] = $db->prepare("SELECT $number + ? AS sum");
        $open[$number]->execute([$number]);
        step('open', $open[$number]->get_result()->fetch_row());
    }
}

function mysqli_transactions(mysqli $db): void
{
    ask($db, 'CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)');
    $other = mysqli();
    $count = 'SELECT COUNT(*), MAX(id) FROM t';
    $db->begin_transaction(MYSQLI_TRANS_START_WITH_CONSISTENT_SNAPSHOT);
    execute($db, 'INSERT INTO t (v) VALUES (?), (?)', ['one', 'two']);
    ask($other, $count);
    $db->savepoint('a');
    execute($db, 'INSERT INTO t (v) VALUES (?)', ['one']);
    execute($db, 'INSERT INTO t (v) VALUES (?)', ['three']);
    ask($db, 'ROLLBACK TO SAVEPOINT a');
    $db->release_savepoint('a');
    $db->commit(MYSQLI_TRANS_COR_AND_CHAIN);
    ask($other, $count);
    execute($db, 'DELETE FROM t WHERE id > ?', [0]);
    $db->rollback();
    ask($db, $count);
    $db->autocommit(false);
    ask($db, 'DELETE FROM t');
    ask($db, $count);
    $db->rollback();
    $db->autocommit(true);
    $db->begin_transaction(MYSQLI_TRANS_START_READ_ONLY);
    ask($db, "INSERT INTO t (v) VALUES ('no')");
    $db->rollback();
    ask($db, 'SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED');
    $db->begin_transaction();
    $other->autocommit(false);
    ask($other, "INSERT INTO t (v) VALUES ('dirty')");
    ask($db, 'SELECT COUNT(*) FROM t');
    $db->commit();
    ask($db, 'SELECT COUNT(*) FROM t');
    $other->close();
    ask($db, 'SELECT COUNT(*) FROM t FOR UPDATE');
}

function mysqli_procedures(mysqli $db): void
{
    ask($db, "CREATE PROCEDURE two(IN a INT, OUT b INT) BEGIN SET b = a * 2; SELECT a AS first; SELECT a + 1 AS second, 'x' AS text UNION SELECT a, 'y'; END");
    ask($db, "CREATE PROCEDURE stops() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stop'; END");
    ask($db, 'CALL two(1, @b)');
    ask($db, 'SELECT @b');
    execute($db, 'CALL two(?, @b)', [21]);
    ask($db, 'SELECT @b');
    ask($db, 'CALL stops()');
    execute($db, 'CALL stops()', []);
    ask($db, 'DROP TABLE IF EXISTS m; CREATE TABLE m (a INT); INSERT INTO m VALUES (1), (2); SELECT * FROM m; SELECT 1 AS e');
}

function mysqli_rest(mysqli $db): void
{
    global $way;
    ask($db, "INSERT IGNORE INTO m VALUES ('x'), (1e30)");
    $warning = $db->get_warnings();
    do {
        step('warning', $warning->message, $warning->sqlstate, $warning->errno);
    } while ($warning->next());
    $file = tempnam(sys_get_temp_dir(), 'rows');
    file_put_contents($file, implode("\n", range(1, 20000)));
    attempt('infile', function () use ($db, $file) {
        $db->query("LOAD DATA LOCAL INFILE '$file' INTO TABLE m");
        return told($db);
    });
    attempt('no file', fn() => $db->query("LOAD DATA LOCAL INFILE '/none.csv' INTO TABLE m"));
    unlink($file);
    ask($db, 'SELECT COUNT(*), SUM(a) FROM m');
    foreach (['latin1', 'utf8mb4'] as $set) {
        $db->set_charset($set);
        ask($db, "SELECT 'é', HEX('é'), @@character_set_client, @@collation_connection");
        step('escaped', $db->real_escape_string("é'\\\0"), (array) $db->get_charset());
    }
    $db->select_db('information_schema');
    ask($db, 'SELECT DATABASE()');
    attempt('no database', fn() => $db->select_db('no_such_database'));
    $db->select_db($way->database);
    ask($db, "SET @kept = 1, time_zone = '+01:00'");
    ask($db, 'CREATE TEMPORARY TABLE mine (a INT)');
    attempt('change', fn() => $db->change_user($way->user, $way->password, $way->database));
    ask($db, 'SELECT @kept, @@time_zone, DATABASE(), @@character_set_client');
    ask($db, 'SELECT * FROM mine');
    step('ping', $db->ping(), $db->thread_id > 0, $db->refresh(MYSQLI_REFRESH_TABLES) !== null);
    $db->query('SELECT * FROM types', MYSQLI_USE_RESULT)->free();
    $rows = $db->query('SELECT a.a, b.a FROM (SELECT a FROM m ORDER BY a LIMIT 300) a, (SELECT a FROM m ORDER BY a LIMIT 300) b ORDER BY 1, 2', MYSQLI_USE_RESULT);
    $hash = hash_init('sha256');
    for ($count = 0; $row = $rows->fetch_row(); $count++) {
        hash_update($hash, implode(',', $row));
    }
    step('streamed', $count, hash_final($hash));
    $rows->free();
    // Sent without waiting.
    $second = mysqli();
    foreach ([$db, $second] as $number => $one) {
        $one->query("SELECT $number, SLEEP(0.05)", MYSQLI_ASYNC);
    }
    foreach ([$db, $second] as $one) {
        step('later', $one->reap_async_query()->fetch_row());
    }
    execute($second, "SELECT REPEAT('x', ?), LENGTH(?)", [(1 << 24) - 5, str_repeat('y', (1 << 24) + 7)]);
    attempt('refused', fn() => $second->change_user($way->user, 'wrong', ''));
}

// --- PDO --------------------------------------------------------------------------------------------------------------

function pdo(array $options = [], string $more = '', ?string $user = null, ?string $password = null): PDO
{
    global $way;
    $options += [PDO::ATTR_TIMEOUT => 10, PDO::MYSQL_ATTR_LOCAL_INFILE => true];
    return new PDO("mysql:host={$way->host};port={$way->port};charset=utf8mb4;$more", $user ?? $way->user, $password ?? $way->password, $options);
}

function run(PDO $db, string $sql, ?array $arguments = null): void
{
    attempt(substr($sql, 0, 200), function () use ($db, $sql, $arguments) {
        $statement = $arguments === null ? $db->query($sql) : $db->prepare($sql);
        if ($arguments !== null) {
            $statement->execute($arguments);
        }
        $seen = [];
        do {
            $columns = [];
            for ($i = 0; $i < $statement->columnCount(); $i++) {
                $columns[] = $statement->getColumnMeta($i);
            }
            $seen[] = [$columns, $statement->rowCount(), $statement->columnCount() ? $statement->fetchAll(PDO::FETCH_NUM) : $db->lastInsertId()];
        } while ($statement->nextRowset());
        return $seen;
    });
}

function with_pdo(): void
{
    global $way;
    foreach ([[null, null, "dbname={$way->database}"], [null, null, ''], [null, 'wrong', ''], ['nobody', 'x', ''], [null, null, 'dbname=no_such_database']] as [$user, $password, $more]) {
        foreach ([[], [PDO::MYSQL_ATTR_SSL_CA => $way->ca], [PDO::MYSQL_ATTR_SSL_CA => $way->ca, PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true]] as $options) {
            attempt("login $user $more", function () use ($options, $more, $user, $password) {
                $db = pdo($options, $more, $user, $password);
                run($db, 'SELECT DATABASE(), CURRENT_USER(), @@character_set_client');
                return [$db->getAttribute(PDO::ATTR_SERVER_VERSION), preg_replace('/^.* via|Uptime.*/', '', $db->getAttribute(PDO::ATTR_CONNECTION_STATUS)), $db->getAttribute(PDO::ATTR_CLIENT_VERSION)];
            });
        }
    }
    foreach ([[true, true, false], [false, true, false], [false, false, true]] as [$emulate, $buffered, $text]) {
        $db = pdo([PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => $buffered, PDO::ATTR_STRINGIFY_FETCHES => $text, PDO::MYSQL_ATTR_FOUND_ROWS => $text,
            PDO::MYSQL_ATTR_INIT_COMMAND => "SET @greeting = 'hello'"]);
        $db->exec("DROP DATABASE {$way->database}");
        $db->exec("CREATE DATABASE {$way->database} CHARACTER SET utf8mb4");
        $db->exec("USE {$way->database}");
        pdo_work($db);
    }
    $silent = pdo([PDO::ATTR_ERRMODE => PDO::ERRMODE_SILENT], "dbname={$way->database}");
    step('silent', $silent->query('SELECT * FROM nowhere'), $silent->errorCode(), $silent->errorInfo());
    for ($round = 0; $round < 3; $round++) {
        $kept = pdo([PDO::ATTR_PERSISTENT => true], "dbname={$way->database}");
        run($kept, 'SELECT @round');
        run($kept, "SET @round = $round");
        $kept = null;
    }
}

function pdo_work(PDO $db): void
{
    global $way;
    foreach (statements() as $sql) {
        attempt('exec', fn() => $db->exec($sql));
    }
    run($db, 'SELECT @greeting');
    run($db, 'SELECT * FROM types ORDER BY id');
    run($db, 'SELECT * FROM types WHERE id > ? ORDER BY id', [0]);
    run($db, 'SELECT * FROM zero WHERE id > :id ORDER BY id', ['id' => 0]);
    $db->exec('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, v VARCHAR(70) UNIQUE, b LONGBLOB, flag BOOL)');
    $insert = $db->prepare('INSERT INTO t (n, v, b, flag) VALUES (:n, :v, :b, :flag)');
    foreach ([[null, 'null', null, null], [PHP_INT_MIN, "emoji 🐬 ' \" \\ ? :n", "\0\xff'\\", true], [PHP_INT_MAX, '', '', false], [1, 'long', str_repeat("\0", 300000), true], [2, 'null', '', false]] as [$n, $v, $b, $flag]) {
        attempt('insert', function () use ($insert, $db, $n, $v, $b, $flag) {
            $insert->bindValue('n', $n, PDO::PARAM_INT);
            $insert->bindValue('v', $v);
            $insert->bindValue('b', $b, PDO::PARAM_LOB);
            $insert->bindValue('flag', $flag, PDO::PARAM_BOOL);
            return [$insert->execute(), $insert->rowCount(), $db->lastInsertId()];
        });
    }
    run($db, 'SELECT * FROM t ORDER BY id', []);
    step('transaction', $db->beginTransaction(), $db->inTransaction());
    run($db, 'INSERT INTO t (v) VALUES (?), (?)', ['one', 'two']);
    run($db, 'INSERT INTO t (v) VALUES (?)', ['one']);
    step('committed', $db->commit(), $db->inTransaction());
    $db->beginTransaction();
    run($db, 'DELETE FROM t', []);
    step('rolled back', $db->rollBack());
    run($db, 'SELECT COUNT(*) FROM t');
    $db->beginTransaction();
    $db->exec('CREATE TABLE commits (a INT)');
    attempt('implicit commit', fn() => [$db->inTransaction(), $db->commit()]);
    $db->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
    run($db, 'DELETE FROM t WHERE id > ?', [0]);
    $db->rollBack();
    $db->setAttribute(PDO::ATTR_AUTOCOMMIT, 1);
    foreach (['SELEC 1', 'SELECT * FROM nowhere', 'SELECT nothing FROM t', 'SELECT 1 AS a; SELECT 2 AS b', 'SELECT 1; SELECT * FROM nowhere; SELECT 2', "SELECT CAST('x' AS SIGNED)", 'SHOW WARNINGS', 'UPDATE t SET n = 1', 'UPDATE t SET n = 1'] as $sql) {
        run($db, $sql);
        run($db, $sql, []);
    }
    $db->exec("CREATE PROCEDURE two(IN a INT) BEGIN SELECT a AS first; SELECT a + 1 AS second, 'x' AS text; END");
    run($db, 'CALL two(1)');
    run($db, 'CALL two(?)', [21]);
    $rows = $db->prepare('SELECT a.id, b.id, c.v FROM t a, t b, t c WHERE a.id > ? ORDER BY 1, 2, 3');
    $rows->execute([0]);
    step('first', $rows->fetch(PDO::FETCH_ASSOC));
    attempt('meanwhile', fn() => $db->query('SELECT 1')->fetchAll());
    $rows->closeCursor();
    run($db, 'SELECT COUNT(*) FROM t');
}

function everything(): void
{
    with_mysqli();
    with_pdo();
}

everything();
