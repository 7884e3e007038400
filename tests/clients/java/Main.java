// MySQL Connector/J and MariaDB Connector/J as an application uses them: every step is printed as a line of JSON,
// [label, text]. The only argument is the way, as JSON, with the driver's name in it (see ../programs.py).

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.cert.CertificateFactory;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;

public class Main {
    static final Map<String, String> way = new HashMap<>();
    static boolean mysqlDriver;
    static boolean mysqlServer;
    static final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        Matcher field = Pattern.compile("\"(\\w+)\": (?:\"([^\"]*)\"|(\\d+))").matcher(arguments[0]);
        while (field.find()) way.put(field.group(1), field.group(2) == null ? field.group(3) : field.group(2));
        mysqlDriver = way.get("driver").equals("mysql");
        mysqlServer = way.get("flavor").equals("mysql");
        DriverManager.setLoginTimeout(20);
        try {
            everything();
        } finally {
            out.flush();
        }
    }

    static void everything() throws Exception {
        logins();
        tls();
        String[] prepared = {"", "useServerPrepStmts=true", "useServerPrepStmts=true&cachePrepStmts=true&"
            + (mysqlDriver ? "useCursorFetch=true&defaultFetchSize=2" : "defaultFetchSize=2&useReadAheadInput=true")};
        for (String how : prepared) {
            recreate();
            types(how);
            crud(how);
            transactions(how);
            failures(how);
            procedures(how);
        }
        for (String how : batches()) {
            recreate();
            batch(how);
        }
        several();
        sessions();
        infile();
        pool();
        streams();
        large();
    }

    static String[] batches() {
        return mysqlDriver
            ? new String[] {"", "useServerPrepStmts=true", "rewriteBatchedStatements=true",
                "rewriteBatchedStatements=true&useServerPrepStmts=true", "continueBatchOnError=false", "rewriteBatchedStatements=true&allowMultiQueries=true"}
            : new String[] {"", "useServerPrepStmts=true", "rewriteBatchedStatements=true", "useBulkStmts=true",
                "useBulkStmts=true&useServerPrepStmts=true", "useBulkStmtsForInserts=true", "disablePipeline=true", "disablePipeline=true&useServerPrepStmts=true", "continueBatchOnError=false"};
    }

    // --- printing -----------------------------------------------------------------------------------------------------

    static void step(String label, Object... values) {
        StringBuilder text = new StringBuilder();
        for (Object value : values) text.append(text.length() > 0 ? ", " : "").append(show(value));
        out.println("[" + quoted(label) + ", " + quoted(text.toString()) + "]");
    }

    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') quoted.append('\\').append(c);
            else if (c < 32 || c > 126) quoted.append(String.format("\\u%04x", (int) c));
            else quoted.append(c);
        }
        return quoted.append('"').toString();
    }

    static String show(Object value) {
        try {
            if (value == null) return "null";
            if (value instanceof String text) return text.length() > 300 ? text.length() + " in text " + digest(text.getBytes(StandardCharsets.UTF_8)) : "'" + text + "'";
            if (value instanceof byte[] bytes) return bytes.length > 60 ? bytes.length + " bytes " + digest(bytes) : "bytes " + HexFormat.of().formatHex(bytes);
            if (value instanceof Clob text) return "clob " + show(text.getSubString(1, (int) text.length()));
            if (value instanceof Blob bytes) return "blob " + show(bytes.getBytes(1, (int) bytes.length()));
            if (value instanceof int[] numbers) return numbers.length > 40 ? numbers.length + " counts " + digest(Arrays.toString(numbers).getBytes()) : Arrays.toString(numbers);
            if (value instanceof BatchUpdateException error) return show(error.getUpdateCounts()) + " " + told(error);
            if (value instanceof SQLException error) return told(error);
            return value.getClass().getSimpleName() + " " + value;
        } catch (SQLException error) {
            return told(error);
        }
    }

    static String told(SQLException error) {
        String message = String.valueOf(error.getMessage()).replaceAll("\\(conn=\\d+\\) ", "").replaceAll("\\d+ (milliseconds|ms)", "some ms");
        return error.getClass().getSimpleName() + " " + error.getErrorCode() + " " + error.getSQLState() + " " + message;
    }

    static String digest(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    interface Work {
        Object run() throws Exception;
    }

    static void attempt(String label, Work work) throws Exception {
        try {
            step(label, work.run());
        } catch (SQLException error) {
            step(label, error);
        }
    }

    // --- asking -------------------------------------------------------------------------------------------------------

    static String url(String database, String more) {
        String prefix = mysqlDriver ? "jdbc:mysql" : "jdbc:mariadb";
        return prefix + "://" + way.get("host") + ":" + way.get("port") + "/" + database + "?" + more;
    }

    static Connection connect(String more) throws SQLException {
        return DriverManager.getConnection(url(way.get("database"), "connectTimeout=10000&socketTimeout=30000&" + more), way.get("user"), way.get("password"));
    }

    static void recreate() throws SQLException {
        try (Connection connection = connect(""); Statement statement = connection.createStatement()) {
            statement.execute("DROP DATABASE " + way.get("database"));
            statement.execute("CREATE DATABASE " + way.get("database") + " CHARACTER SET utf8mb4");
        }
    }

    // All results of a statement, in each of the ways to read a column.
    static void ask(Connection connection, String label, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            results(label, statement, statement.execute(sql));
        } catch (SQLException error) {
            step(label, error);
        }
    }

    static void ask(Connection connection, String label, String sql, Object... arguments) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < arguments.length; i++) statement.setObject(i + 1, arguments[i]);
            results(label, statement, statement.execute());
        } catch (SQLException error) {
            step(label, error);
        }
    }

    static void results(String label, Statement statement, boolean rows) throws SQLException {
        while (true) {
            if (rows) {
                fetch(label, statement.getResultSet());
            } else {
                int count = statement.getUpdateCount();
                step(label + " count", count);
                if (count == -1) break;
            }
            rows = statement.getMoreResults();
        }
        for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) step(label + " warning", warning);
    }

    static void fetch(String label, ResultSet rows) throws SQLException {
        ResultSetMetaData about = rows.getMetaData();
        for (int i = 1; i <= about.getColumnCount(); i++) {
            step(label + " column", about.getColumnName(i), about.getColumnLabel(i), about.getColumnTypeName(i), about.getColumnType(i),
                about.getPrecision(i), about.getScale(i), about.isNullable(i), about.isAutoIncrement(i), about.isSigned(i), about.getColumnClassName(i),
                about.getTableName(i), about.getCatalogName(i), about.getColumnDisplaySize(i));
        }
        while (rows.next()) {
            List<String> seen = new ArrayList<>();
            for (int i = 1; i <= about.getColumnCount(); i++) {
                int column = i;
                seen.add(value(() -> rows.getObject(column)) + " = " + value(() -> rows.getString(column)));
            }
            step(label + " row", String.join(" | ", seen).length() > 5000 ? digest(String.join(" | ", seen).getBytes(StandardCharsets.UTF_8)) : seen);
        }
        rows.close();
    }

    static String value(Work work) {
        try {
            return show(work.run());
        } catch (Exception error) {
            return error instanceof SQLException refused ? told(refused) : error.toString();
        }
    }

    // --- scenarios ----------------------------------------------------------------------------------------------------

    static final String WHO = "SELECT DATABASE(), CURRENT_USER(), @@version, @@character_set_client, @@collation_connection, @@sql_mode, @@time_zone";

    static void logins() throws Exception {
        String[] options = mysqlDriver
            ? new String[] {"", "characterEncoding=latin1", "connectionCollation=utf8mb4_unicode_ci", "sessionVariables=sql_mode='ANSI',time_zone='%2B03:00'",
                "connectionTimeZone=Asia/Kolkata&forceConnectionTimeZoneToSession=true", "useLocalSessionState=true&elideSetAutoCommits=true",
                "cacheServerConfiguration=true&useInformationSchema=true", "useCompression=true", "connectionAttributes=a:b,c:d", "useAffectedRows=true"}
            : new String[] {"", "sessionVariables=sql_mode='ANSI',time_zone='%2B03:00'", "usePipelineAuth=true", "createDatabaseIfNotExist=true", "useCompression=true",
                "connectionAttributes=a:b,c:d", "useAffectedRows=true", "autocommit=false", "connectionCollation=utf8mb4_unicode_ci", "tcpKeepAlive=true&useMysqlMetadata=true", "permitMysqlScheme=true"};
        for (String more : options) {
            try (Connection connection = connect(more)) {
                ask(connection, "who " + more, WHO);
                step("valid " + more, connection.isValid(5), connection.getCatalog(), connection.getAutoCommit(), connection.isReadOnly());
                DatabaseMetaData about = connection.getMetaData();
                step("about " + more, about.getDatabaseProductName(), about.getDatabaseProductVersion(), about.getUserName(), about.getDriverVersion());
            } catch (SQLException error) {
                step("login " + more, error);
            }
        }
        try (Connection connection = DriverManager.getConnection(url("", ""), way.get("user"), way.get("password"))) {
            ask(connection, "no database", WHO);
            ask(connection, "no database", "SELECT * FROM nowhere");
        }
        String[][] refused = {{"app", "wrong", ""}, {"app", "", ""}, {"nobody", "x", ""}, {"nobody", "", ""}, {"app", way.get("password"), "no_such_database"}};
        for (String[] login : refused) {
            // MySQL asks unknown users for a plugin of its whim, and MariaDB's driver does not have all of them.
            if (mysqlServer && !mysqlDriver && login[0].equals("nobody")) continue;
            // Without the key, MariaDB's driver has a word of its own for MySQL: the router lets it stay with its first plugin.
            attempt("refused " + login[0] + login[2], () -> DriverManager.getConnection(url(login[2], mysqlDriver ? "" : "allowPublicKeyRetrieval=true"), login[0], login[1]));
        }
    }

    static void tls() throws Exception {
        List<String> options = new ArrayList<>();
        if (mysqlDriver) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            try (InputStream file = new FileInputStream(way.get("ca"))) {
                store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
            }
            Path path = Files.createTempFile("trust", ".p12");
            try (OutputStream file = Files.newOutputStream(path)) {
                store.store(file, "secret".toCharArray());
            }
            path.toFile().deleteOnExit();
            String trust = "&trustCertificateKeyStoreType=PKCS12&trustCertificateKeyStorePassword=secret&trustCertificateKeyStoreUrl=" + path.toUri();
            for (String mode : new String[] {"DISABLED&allowPublicKeyRetrieval=true", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY", "VERIFY_CA" + trust, "VERIFY_IDENTITY" + trust,
                "REQUIRED&tlsVersions=TLSv1.2", "REQUIRED&tlsVersions=TLSv1.3"}) options.add("sslMode=" + mode);
        } else {
            String trust = "&serverSslCert=" + way.get("ca");
            for (String mode : new String[] {"disable&allowPublicKeyRetrieval=true", "trust", "verify-ca" + trust, "verify-full" + trust, "trust&enabledSslProtocolSuites=TLSv1.2"}) options.add("sslMode=" + mode);
        }
        for (String more : options) {
            String label = "tls " + more.replaceAll("file:.*|=/.*", "");
            try (Connection connection = connect(more)) {
                ask(connection, label, "SELECT ? + 1, CURRENT_USER()", 41);
            } catch (SQLException error) {
                // What the JVM thinks of a certificate is not the server's word.
                step(label, error.getClass().getSimpleName(), error.getSQLState());
            }
        }
    }

    static void types(String how) throws Exception {
        String label = "types " + how;
        try (Connection connection = connect(how)) {
            for (String sql : Files.readAllLines(Path.of(way.get("statements")))) ask(connection, label + " setup", sql);
            // A type that MariaDB's driver has not heard of.
            if (!mysqlDriver && mysqlServer) ask(connection, label + " setup", "ALTER TABLE types DROP COLUMN vec");
            ask(connection, label + " text", "SELECT * FROM types ORDER BY id");
            ask(connection, label + " prepared", "SELECT * FROM types WHERE id > ? ORDER BY id", 0);
            ask(connection, label + " zero", "SELECT * FROM zero ORDER BY id");
            ask(connection, label + " zero prepared", "SELECT * FROM zero WHERE id > ? ORDER BY id", 0);
            ask(connection, label + " expressions", "SELECT ?, ? + 1, CONCAT(?, 'x'), ? IS NULL, CAST(? AS DECIMAL(20,5)), AVG(id), SUM(big), 1/3, x'00ff', DATE '2026-01-02' FROM types",
                -5L, 1.5, "é🐬'\\", null, "12.25");
            typed(connection, label);
            parameters(connection, label);
            DatabaseMetaData about = connection.getMetaData();
            fetch(label + " tables", about.getTables(way.get("database"), null, "%", new String[] {"TABLE"}));
            fetch(label + " columns", about.getColumns(way.get("database"), null, "types", "%"));
            fetch(label + " keys", about.getPrimaryKeys(way.get("database"), null, "types"));
        }
    }

    static void typed(Connection connection, String label) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("SELECT id, flag, big, ubig, price, f, d, day, t0, dt, ts, y, v, vb, lt, lb, bits, bit1, doc FROM types WHERE id >= ? ORDER BY id")) {
            statement.setInt(1, 1);
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) {
                    List<String> seen = new ArrayList<>(List.of(value(() -> rows.getBoolean("flag")), value(() -> rows.getLong("big")), value(() -> rows.getLong("ubig")), value(() -> rows.getBigDecimal("ubig")),
                        value(() -> rows.getBigDecimal("price")), value(() -> rows.getFloat("f")), value(() -> rows.getDouble("d")), value(() -> rows.getObject("day", LocalDate.class)),
                        value(() -> rows.getDate("day")), value(() -> rows.getTime("t0")), value(() -> rows.getTimestamp("dt")), value(() -> rows.getObject("dt", LocalDateTime.class)),
                        value(() -> rows.getObject("ts", OffsetDateTime.class)), value(() -> rows.getInt("y")), value(() -> rows.getBytes("v")), value(() -> rows.getBytes("vb")),
                        value(() -> digest(rows.getCharacterStream("lt").toString().substring(0, 4).getBytes())), value(() -> rows.getBinaryStream("lb").readAllBytes()),
                        value(() -> rows.getBytes("bits")), value(() -> rows.getBoolean("bit1")), value(() -> rows.getString("doc")), value(rows::wasNull)));
                    seen.add(value(() -> rows.getInt("v")));
                    seen.add(value(() -> rows.getShort("big")));
                    step(label + " typed", seen);
                }
            }
        }
    }

    static void parameters(Connection connection, String label) throws Exception {
        ask(connection, label, "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, price DECIMAL(30,10), d DOUBLE, day DATE, t TIME(3), dt DATETIME(6), v TEXT, b LONGBLOB, flag BIT(1), doc " + (mysqlServer ? "JSON)" : "TEXT)"));
        Object[][] rows = {
            {null, null, null, null, null, null, null, null, null, null},
            {Long.MIN_VALUE, new java.math.BigDecimal("-12345678901234567890.0123456789"), -Double.MAX_VALUE, LocalDate.of(9999, 12, 31), LocalTime.of(23, 59, 58, 999_000_000),
                LocalDateTime.of(2026, 2, 28, 23, 59, 59, 123456000), "emoji 🐬 ' \" \\ \0", new byte[] {0, -1, '\'', '\\'}, true, "{\"a\": [1, null]}"},
            {(byte) -1, java.math.BigInteger.TEN, 1.5f, java.sql.Date.valueOf("1000-01-01"), Time.valueOf("01:02:03"), Timestamp.valueOf("2026-02-28 12:00:00.5"), "", new byte[0], false, "[]"},
            {(short) 7, "1.5", 0, "2026-01-02", "10:00:00", Instant.ofEpochSecond(1_800_000_000L).atOffset(ZoneOffset.UTC), "ü".repeat(70000), new byte[1 << 20], 1, "\"text\""},
        };
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO p (n, price, d, day, t, dt, v, b, flag, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (Object[] row : rows) {
                attempt(label + " parameters", () -> {
                    for (int i = 0; i < row.length; i++) insert.setObject(i + 1, row[i]);
                    int count = insert.executeUpdate();
                    fetch(label + " key", insert.getGeneratedKeys());
                    return count;
                });
            }
            attempt(label + " streams", () -> {
                insert.setLong(1, 5);
                insert.setBigDecimal(2, java.math.BigDecimal.ONE);
                insert.setNull(3, Types.DOUBLE);
                insert.setDate(4, java.sql.Date.valueOf("2026-02-28"));
                insert.setTime(5, Time.valueOf("12:00:01"));
                insert.setTimestamp(6, Timestamp.valueOf("2026-02-28 01:02:03.4"));
                insert.setCharacterStream(7, new StringReader("ä".repeat(100000)));
                insert.setBinaryStream(8, new ByteArrayInputStream(new byte[300000]));
                insert.setBoolean(9, true);
                insert.setString(10, "{}");
                return insert.executeUpdate();
            });
            attempt(label + " too few", () -> {
                insert.clearParameters();
                return insert.executeUpdate();
            });
            if (!how(label).contains("cachePrepStmts")) step(label + " about parameters", insert.getParameterMetaData().getParameterCount());
        }
        ask(connection, label + " written", "SELECT * FROM p ORDER BY id");
        ask(connection, label + " by value", "SELECT id FROM p WHERE dt = ? OR n = ?", LocalDateTime.of(2026, 2, 28, 23, 59, 59, 123456000), 5);
    }

    static String how(String label) {
        return label.substring(label.indexOf(' ') + 1);
    }

    static void crud(String how) throws Exception {
        String label = "crud " + how;
        try (Connection connection = connect(how)) {
            ask(connection, label, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k INT UNIQUE, v TEXT)");
            try (Statement statement = connection.createStatement()) {
                step(label + " insert", statement.executeUpdate("INSERT INTO t (k, v) VALUES (1, 'one'), (2, 'two'), (3, NULL)", Statement.RETURN_GENERATED_KEYS));
                fetch(label + " keys", statement.getGeneratedKeys());
                step(label + " duplicate", statement.executeUpdate("INSERT INTO t (k, v) VALUES (1, 'x') ON DUPLICATE KEY UPDATE v = 'dup'", Statement.RETURN_GENERATED_KEYS));
                fetch(label + " keys", statement.getGeneratedKeys());
                step(label + " large", statement.executeLargeUpdate("UPDATE t SET v = 'same' WHERE k < 3"), statement.executeLargeUpdate("UPDATE t SET v = 'same' WHERE k < 3"));
                step(label + " max", statement.getMaxRows());
                statement.setMaxRows(1);
                fetch(label + " limited", statement.executeQuery("SELECT * FROM t ORDER BY id"));
                statement.setMaxRows(0);
                fetch(label + " unlimited", statement.executeQuery("SELECT * FROM t ORDER BY id"));
            }
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO t (k, v) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 10; n < 45; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, "v" + n);
                    insert.executeUpdate();
                }
                fetch(label + " last key", insert.getGeneratedKeys());
            }
            for (String sql : new String[] {"SELECT LAST_INSERT_ID()", "INSERT IGNORE INTO t (k) VALUES (1), (2000), ('x')", "SHOW WARNINGS", "REPLACE INTO t (k, v) VALUES (11, 'replaced'), (3000, 'new')",
                "DELETE FROM t WHERE k > 40", "SELECT COUNT(*), SUM(k) FROM t"}) ask(connection, label + " " + sql, sql);
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE); ResultSet rows = statement.executeQuery("SELECT id, k, v FROM t WHERE k < 5 ORDER BY id")) {
                step(label + " scroll", rows.last(), rows.getRow(), rows.absolute(1), rows.getString("v"));
                rows.updateString("v", "updated");
                rows.updateRow();
                rows.moveToInsertRow();
                rows.updateInt("k", 77);
                rows.updateString("v", "inserted");
                rows.insertRow();
                rows.absolute(2);
                rows.deleteRow();
            }
            ask(connection, label + " changed", "SELECT * FROM t WHERE k < 5 OR k = 77 ORDER BY id");
            ask(connection, label + " prepared", "UPDATE t SET v = ? WHERE k = ?", "é", 77);
            ask(connection, label + " prepared", "DELETE FROM t WHERE v = ?", "é");
        }
    }

    static void batch(String how) throws Exception {
        String label = "batch " + how;
        try (Connection connection = connect(how)) {
            ask(connection, label, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k INT UNIQUE, v VARCHAR(20))");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO t (k, v) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 0; n < 120; n++) {
                    insert.setInt(1, n);
                    if (n % 7 == 0) insert.setNull(2, Types.VARCHAR);
                    else insert.setString(2, "v🐬" + n);
                    insert.addBatch();
                }
                step(label + " insert", insert.executeBatch());
                StringBuilder keys = new StringBuilder();
                try (ResultSet rows = insert.getGeneratedKeys()) {
                    while (rows.next()) keys.append(rows.getLong(1)).append(' ');
                }
                step(label + " keys", keys.toString());
                for (int n : new int[] {1000, 1001, 5, 1002}) {
                    insert.setInt(1, n);
                    insert.setString(2, "late");
                    insert.addBatch();
                }
                attempt(label + " duplicate", insert::executeBatch);
                insert.clearBatch();
                step(label + " empty", insert.executeBatch());
            }
            for (String sql : new String[] {"UPDATE t SET v = ? WHERE k = ?", "INSERT INTO t (v, k) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = 'again'", "DELETE FROM t WHERE v = ? OR k = ?", "REPLACE INTO t (v, k) VALUES (?, ?)"}) {
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    for (int n = 0; n < 40; n += 2) {
                        statement.setString(1, "new" + n);
                        statement.setInt(2, n % 30);
                        statement.addBatch();
                    }
                    attempt(label + " " + sql, statement::executeBatch);
                }
            }
            ask(connection, label + " left", "SELECT COUNT(*), SUM(k), COUNT(v), MAX(v), MIN(v) FROM t");
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                for (String sql : new String[] {"INSERT INTO t (k) VALUES (5000)", "UPDATE t SET v = 'x' WHERE k < 20", "INSERT INTO t (k) VALUES (5000)", "DELETE FROM t WHERE k = 5000"}) statement.addBatch(sql);
                attempt(label + " statements", statement::executeBatch);
                statement.clearBatch();
                for (int n = 0; n < 30; n++) statement.addBatch("INSERT INTO t (k) VALUES (" + (6000 + n) + ")");
                attempt(label + " many statements", statement::executeBatch);
            }
            ask(connection, label + " before", "SELECT COUNT(*) FROM t");
            connection.rollback();
            ask(connection, label + " rolled back", "SELECT COUNT(*) FROM t");
        }
    }

    static void transactions(String how) throws Exception {
        String label = "transactions " + how;
        try (Connection connection = connect(how); Connection other = connect(how)) {
            ask(connection, label, "CREATE TABLE x (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)");
            connection.setAutoCommit(false);
            ask(connection, label + " insert", "INSERT INTO x (v) VALUES (?)", "one");
            ask(other, label + " not yet", "SELECT COUNT(*) FROM x");
            Savepoint point = connection.setSavepoint("a");
            ask(connection, label + " duplicate", "INSERT INTO x (v) VALUES (?)", "one");
            ask(connection, label + " two", "INSERT INTO x (v) VALUES (?)", "two");
            connection.rollback(point);
            connection.commit();
            ask(other, label + " committed", "SELECT COUNT(*), MAX(v) FROM x WHERE id > ?", 0);
            ask(connection, label + " delete", "DELETE FROM x");
            connection.rollback();
            ask(connection, label + " rolled back", "SELECT COUNT(*) FROM x");
            connection.setAutoCommit(true);
            for (int level : new int[] {Connection.TRANSACTION_READ_UNCOMMITTED, Connection.TRANSACTION_READ_COMMITTED, Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_SERIALIZABLE}) {
                attempt(label + " level " + level, () -> {
                    connection.setTransactionIsolation(level);
                    connection.setAutoCommit(false);
                    ask(connection, label + " before", "SELECT COUNT(*) FROM x WHERE v = 'level'");
                    return connection.getTransactionIsolation();
                });
                if (level != Connection.TRANSACTION_SERIALIZABLE) ask(other, label + " meanwhile", "INSERT INTO x (v) VALUES (?)", "level" + level);
                ask(connection, label + " sees", "SELECT COUNT(*) FROM x WHERE v LIKE 'level%'");
                connection.commit();
                connection.setAutoCommit(true);
            }
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            connection.setReadOnly(true);
            ask(connection, label + " read only", "SELECT COUNT(*) FROM x");
            ask(connection, label + " write", "INSERT INTO x (v) VALUES ('no')");
            step(label + " read only", connection.isReadOnly());
            connection.setReadOnly(false);
            ask(connection, label + " write", "INSERT INTO x (v) VALUES ('yes')");
            connection.setAutoCommit(false);
            ask(connection, label + " lock", "SELECT * FROM x WHERE v = ? FOR UPDATE", "yes");
            ask(other, label + " locked", "SELECT * FROM x WHERE v = 'yes' FOR UPDATE NOWAIT");
            ask(connection, label + " lost", "DELETE FROM x");
        }
        try (Connection connection = connect(how)) {
            ask(connection, label + " after close", "SELECT COUNT(*) FROM x FOR UPDATE");
        }
    }

    static void failures(String how) throws Exception {
        String label = "failures " + how;
        try (Connection connection = connect(how)) {
            for (String sql : new String[] {"CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(5) NOT NULL UNIQUE)", "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES parent (id))",
                "INSERT INTO parent VALUES (1, 'one')", "INSERT INTO parent VALUES (1, 'again')", "INSERT INTO parent VALUES (2, 'too long for it')", "INSERT INTO parent (id, v) VALUES (2, NULL)",
                "INSERT INTO child VALUES (9)", "SELEC 1", "SELECT * FROM nowhere", "SELECT nothing FROM parent", "SELECT no_such_function(1)", "CALL no_such_procedure()", "USE no_such_database", "SELECT 1; SELECT 2",
                "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own', MYSQL_ERRNO = 31000", "SELECT CAST('12abc' AS SIGNED), 1/0", "SELECT * FROM parent"}) {
                ask(connection, label + " " + sql, sql);
                ask(connection, label + " prepared " + sql, sql, new Object[0]);
            }
            ask(connection, label + " late", "SELECT id, (SELECT id FROM parent UNION SELECT 2) FROM parent WHERE id > ?", 0);
            if (!how.isEmpty()) return;
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                stopped(label + " timeout", statement);
            }
            ask(connection, label + " afterwards", "SELECT COUNT(*) FROM parent");
            try (Statement statement = connection.createStatement()) {
                Thread cancel = new Thread(() -> {
                    try {
                        Thread.sleep(300);
                        statement.cancel();
                    } catch (Exception error) {
                        step(label + " cancel", String.valueOf(error));
                    }
                });
                cancel.start();
                stopped(label + " cancelled", statement);
                cancel.join();
            }
            ask(connection, label + " afterwards", "SELECT COUNT(*) FROM parent");
        }
    }

    // Connector/J says this in one of two ways, as its threads happen to run.
    static void stopped(String label, Statement statement) throws SQLException {
        try {
            step(label + " not", statement.execute("SELECT SLEEP(20)"));
        } catch (SQLException error) {
            boolean known = Pattern.compile("interrupted|cancelled|timeout|max_statement_time").matcher(error.getMessage()).find();
            step(label, mysqlDriver && known ? "stopped" : told(error));
        }
    }

    static void procedures(String how) throws Exception {
        String label = "procedures " + how;
        try (Connection connection = connect(how)) {
            ask(connection, label, "CREATE PROCEDURE two(IN a INT, OUT b INT, INOUT c VARCHAR(20)) BEGIN SET b = a * 2; SELECT a AS first; SELECT a + 1 AS second, c AS text UNION SELECT a, 'y'; SET c = CONCAT(c, '!'); END");
            ask(connection, label, "CREATE PROCEDURE stops() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stop'; END");
            // Refused where there is a binary log; the answers are compared all the same.
            ask(connection, label, "CREATE FUNCTION sums(a INT, b INT) RETURNS INT DETERMINISTIC RETURN a + b");
            for (int n = 1; n < 3; n++) {
                try (CallableStatement call = connection.prepareCall("{call two(?, ?, ?)}")) {
                    call.setInt(1, n);
                    call.registerOutParameter(2, Types.INTEGER);
                    call.registerOutParameter(3, Types.VARCHAR);
                    call.setString(3, "é");
                    results(label + " call", call, call.execute());
                    attempt(label + " out", () -> call.getInt(2) + call.getString(3));
                } catch (SQLException error) {
                    step(label + " call", error);
                }
            }
            try (CallableStatement call = connection.prepareCall("{? = call sums(?, ?)}")) {
                call.registerOutParameter(1, Types.INTEGER);
                call.setInt(2, 40);
                call.setInt(3, 2);
                attempt(label + " function", () -> call.execute() + " " + call.getInt(1));
            }
            try (CallableStatement call = connection.prepareCall("{call stops()}")) {
                attempt(label + " stops", () -> {
                    results(label + " stops", call, call.execute());
                    return "no error";
                });
            }
            ask(connection, label + " afterwards", "SELECT 'still here'");
        }
    }

    static void several() throws Exception {
        recreate();
        for (String how : new String[] {"allowMultiQueries=true", "allowMultiQueries=true&useServerPrepStmts=true"}) {
            try (Connection connection = connect(how)) {
                ask(connection, "several", "DROP TABLE IF EXISTS m; CREATE TABLE m (a INT AUTO_INCREMENT PRIMARY KEY, b INT); INSERT INTO m (b) VALUES (1), (2); SELECT * FROM m; UPDATE m SET b = 3; SELECT 'end' AS e");
                ask(connection, "several with parameters", "INSERT INTO m (b) VALUES (?); SELECT * FROM m WHERE a > ?", 5, 1);
                ask(connection, "an error among them", "SELECT 1; SELECT * FROM nowhere; SELECT 2");
                ask(connection, "an error among them", "INSERT INTO m (b) VALUES (5); INSERT INTO m VALUES (1, 1); INSERT INTO m (b) VALUES (6)");
                ask(connection, "what is left", "SELECT COUNT(*) FROM m");
                ask(connection, "transaction", "BEGIN; DELETE FROM m; ROLLBACK");
                ask(connection, "what is left", "SELECT COUNT(*) FROM m");
            }
        }
    }

    static void sessions() throws Exception {
        try (Connection connection = connect("useServerPrepStmts=true&cachePrepStmts=true&prepStmtCacheSize=5")) {
            for (String sql : new String[] {"SET @kept = 'kept'", "SET time_zone = '+05:30'", "CREATE TEMPORARY TABLE mine (a INT)", "INSERT INTO mine VALUES (1), (2)", "SELECT @kept, @@time_zone, (SELECT SUM(a) FROM mine)",
                "SELECT GET_LOCK('clients', 0), IS_USED_LOCK('clients') = CONNECTION_ID(), RELEASE_LOCK('clients')", "SET autocommit = 0", "SET autocommit = 1"}) ask(connection, sql, sql);
            for (int n = 0; n < 20; n++) ask(connection, "kept " + n, "SELECT " + n % 12 + " + ? AS sum", n);
            ask(connection, "altered", "CREATE TABLE altered (a INT)");
            try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM altered WHERE 1 = ?")) {
                statement.setInt(1, 1);
                results("altered", statement, statement.execute());
                ask(connection, "altered", "INSERT INTO altered VALUES (1)");
                ask(connection, "altered", "ALTER TABLE altered ADD COLUMN b VARCHAR(9) DEFAULT 'new'");
                // Connector/J 9.7 stumbles over the new column by itself.
                attempt("altered", () -> {
                    results("altered", statement, statement.execute());
                    return "done";
                });
                ask(connection, "altered", "DROP TABLE altered");
                attempt("altered away", () -> statement.execute());
            }
            connection.setCatalog("information_schema");
            ask(connection, "catalog", "SELECT DATABASE()");
            step("catalog", connection.getCatalog());
            attempt("no such catalog", () -> {
                connection.setCatalog("no_such_database");
                return connection.getCatalog();
            });
            connection.setCatalog(way.get("database"));
            attempt("reset", () -> {
                if (mysqlDriver) ((com.mysql.cj.jdbc.JdbcConnection) connection).resetServerState();
                else ((org.mariadb.jdbc.Connection) connection).reset();
                return "done";
            });
            ask(connection, "after reset", "SELECT @kept, @@time_zone, DATABASE()");
            if (mysqlDriver) {
                com.mysql.cj.jdbc.JdbcConnection own = (com.mysql.cj.jdbc.JdbcConnection) connection;
                attempt("changed user", () -> {
                    own.changeUser(way.get("user"), way.get("password"));
                    return "done";
                });
                ask(connection, "as another", "SELECT CURRENT_USER(), DATABASE(), @@character_set_client");
                own.ping();
            }
            step("valid", connection.isValid(3));
            connection.close();
            step("closed", connection.isClosed(), connection.isValid(3));
            attempt("closed", () -> connection.createStatement().isClosed());
        }
        if (!mysqlDriver) resetting("useResetConnection=true");
    }

    static void resetting(String how) throws Exception {
        try (Connection connection = connect(how + "&useServerPrepStmts=true")) {
            org.mariadb.jdbc.Connection own = (org.mariadb.jdbc.Connection) connection;
            ask(connection, "reset", "SET @kept = 1, time_zone = '+01:00'");
            ask(connection, "reset", "CREATE TEMPORARY TABLE mine (a INT)");
            connection.setAutoCommit(false);
            ask(connection, "reset", "SELECT ? + 1", 1);
            own.reset();
            ask(connection, "reset", "SELECT @kept, @@time_zone, @@autocommit, DATABASE()");
            ask(connection, "reset", "SELECT * FROM mine");
            ask(connection, "reset", "SELECT ? + 1", 1);
        }
    }

    static void infile() throws Exception {
        Path file = Files.createTempFile("rows", ".csv");
        StringBuilder text = new StringBuilder();
        for (int n = 0; n < 20000; n++) text.append(n + 1).append(",row ").append(n).append(" 🐬\n");
        Files.writeString(file, text.toString());
        String load = "LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE l CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','";
        try (Connection connection = connect("allowLoadLocalInfile=true&allowLocalInfile=true")) {
            ask(connection, "infile", "CREATE TABLE l (id INT PRIMARY KEY, v VARCHAR(40))");
            ask(connection, "infile load", load);
            ask(connection, "infile load again", load.replace("INTO", "IGNORE INTO"));
            ask(connection, "infile rows", "SELECT COUNT(*), MAX(id), MAX(v) FROM l");
            attempt("infile none", () -> {
                try (Statement statement = connection.createStatement()) {
                    return statement.execute(load.replace(file.toString(), "/none.csv"));
                } catch (SQLException error) {
                    return error.getClass().getSimpleName() + error.getSQLState() + error.getErrorCode();
                }
            });
            ask(connection, "infile afterwards", "SELECT COUNT(*) FROM l");
        }
        try (Connection connection = connect("allowLoadLocalInfile=false&allowLocalInfile=false"); Statement statement = connection.createStatement()) {
            attempt("infile off", () -> {
                try {
                    return statement.execute(load);
                } catch (SQLException error) {
                    return error.getClass().getSimpleName() + error.getSQLState() + error.getErrorCode();
                }
            });
        }
        Files.delete(file);
    }

    static void pool() throws Exception {
        try (Connection connection = connect("")) {
            ask(connection, "counter", "CREATE TABLE counter (n INT)");
            ask(connection, "counter", "INSERT INTO counter VALUES (0)");
        }
        ExecutorService workers = Executors.newFixedThreadPool(6);
        List<Future<Integer>> done = new ArrayList<>();
        for (int worker = 0; worker < 6; worker++) {
            done.add(workers.submit(() -> {
                try (Connection connection = connect("useServerPrepStmts=true"); PreparedStatement add = connection.prepareStatement("UPDATE counter SET n = n + ?")) {
                    connection.setAutoCommit(false);
                    for (int n = 0; n < 10; n++) {
                        add.setInt(1, 1);
                        add.executeUpdate();
                        if (n % 2 == 0) connection.commit();
                        else connection.rollback();
                    }
                }
                return 10;
            }));
        }
        for (Future<Integer> one : done) step("worker", one.get());
        workers.shutdown();
        try (Connection connection = connect("")) {
            ask(connection, "counted", "SELECT n FROM counter");
        }
    }

    static void streams() throws Exception {
        try (Connection connection = connect("")) {
            ask(connection, "digit", "CREATE TABLE digit (n INT PRIMARY KEY)");
            ask(connection, "digit", "INSERT INTO digit VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)");
        }
        String large = "SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS id, REPEAT('é', 20) AS text FROM digit a, digit b, digit c, digit d WHERE a.n >= ? ORDER BY id";
        String[] ways = mysqlDriver
            ? new String[] {"", "useServerPrepStmts=true", "useCursorFetch=true&useServerPrepStmts=true"}
            : new String[] {"", "useServerPrepStmts=true", "disablePipeline=true"};
        for (String how : ways) {
            for (int size : how.contains("Cursor") ? new int[] {100, 3000} : mysqlDriver ? new int[] {0, Integer.MIN_VALUE} : new int[] {0, 1, 100}) {
                try (Connection connection = connect(how); PreparedStatement statement = connection.prepareStatement(large)) {
                    statement.setFetchSize(size);
                    statement.setInt(1, 0);
                    MessageDigest digest = MessageDigest.getInstance("SHA-256");
                    int count = 0;
                    try (ResultSet rows = statement.executeQuery()) {
                        while (rows.next()) {
                            digest.update((rows.getInt(1) + rows.getString(2)).getBytes(StandardCharsets.UTF_8));
                            count++;
                        }
                    }
                    step("streamed " + how + size, count, digest.digest());
                    try (ResultSet rows = statement.executeQuery()) {
                        step("first " + how + size, rows.next());
                        if (size >= 0) ask(connection, "meanwhile " + how + size, "SELECT COUNT(*) FROM digit");
                    }
                    ask(connection, "given up " + how + size, "SELECT COUNT(*) FROM digit");
                }
            }
        }
    }

    static void large() throws Exception {
        for (String how : new String[] {"", "useServerPrepStmts=true"}) {
            try (Connection connection = connect(how + "&maxAllowedPacket=67108864")) {
                ask(connection, "large sent " + how, "SELECT CRC32(?), LENGTH(?)", "x".repeat((1 << 24) + 7), "é");
                // Two packets, the second of them empty when the row just fills the first.
                try (PreparedStatement statement = connection.prepareStatement("SELECT REPEAT('x', ?)")) {
                    statement.setInt(1, how.isEmpty() ? (1 << 24) - 5 : 1 << 24);
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    step("large received " + how, rows.getBytes(1));
                }
            }
        }
    }
}
