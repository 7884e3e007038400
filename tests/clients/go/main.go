// go-sql-driver/mysql as an application uses it: every step is printed as a line of JSON, [label, text].
// The only argument is the way, as JSON (see ../programs.py).
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

var way struct {
	Through, Flavor, Password, Ca, Host, User, Database, Statements string
	Port                                                            int
}

func main() {
	if err := json.Unmarshal([]byte(os.Args[1]), &way); err != nil {
		panic(err)
	}
	mysql.SetLogger(&mysql.NopLogger{})
	logins()
	overTLS()
	for _, more := range []string{"", "parseTime=true&loc=Asia%2FKolkata", "interpolateParams=true", "compress=true"} {
		db := open(more)
		recreate(db)
		types(db, "types "+more)
		db.Close()
	}
	parameters()
	for _, more := range []string{"", "interpolateParams=true"} {
		db := open(more)
		recreate(db)
		writes(db, "writes "+more)
		transactions(db, "transactions "+more)
		failures(db, "failures "+more)
		db.Close()
	}
	several()
	sessions()
	concurrent()
	streams()
	large()
}

// --- printing ---------------------------------------------------------------------------------------------------------

func step(label string, values ...any) {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = show(value)
	}
	line, _ := json.Marshal([]string{label, strings.Join(texts, ", ")})
	fmt.Println(string(line))
}

func show(value any) string {
	switch value := value.(type) {
	case []byte:
		if len(value) > 300 {
			return fmt.Sprintf("%d bytes %x", len(value), sha256.Sum256(value))
		}
		return fmt.Sprintf("bytes %q", value)
	case string:
		if len(value) > 300 {
			return fmt.Sprintf("%d in text %x", len(value), sha256.Sum256([]byte(value)))
		}
		return fmt.Sprintf("%q", value)
	case []any:
		texts := make([]string, len(value))
		for i, one := range value {
			texts[i] = show(one)
		}
		return "[" + strings.Join(texts, " ") + "]"
	case error:
		var refused *mysql.MySQLError
		if errors.As(value, &refused) {
			return fmt.Sprintf("error %d %s %s", refused.Number, refused.SQLState, refused.Message)
		}
		return fmt.Sprintf("%T %s", value, value)
	}
	return fmt.Sprintf("%T %v", value, value)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// --- asking -----------------------------------------------------------------------------------------------------------

func dsn(more string) string {
	return fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?%s", way.User, way.Password, way.Host, way.Port, way.Database, more)
}

// open makes a pool of one connection, so that what a session does shows.
func open(more string) *sql.DB {
	db, err := sql.Open("mysql", dsn(more))
	must(err)
	db.SetMaxOpenConns(1)
	return db
}

type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

var always = context.Background()

// ask prints columns and rows of every result.
func ask(db queryer, label, query string, arguments ...any) {
	rows, err := db.QueryContext(always, query, arguments...)
	if err != nil {
		step(label, err)
		return
	}
	defer rows.Close()
	for {
		fetch(rows, label)
		if !rows.NextResultSet() {
			break
		}
	}
	step(label+" end", rows.Err())
}

func fetch(rows *sql.Rows, label string) {
	columns, err := rows.ColumnTypes()
	if err != nil {
		step(label+" columns", err)
		return
	}
	for _, column := range columns {
		length, hasLength := column.Length()
		nullable, _ := column.Nullable()
		precision, scale, _ := column.DecimalSize()
		step(label+" column", column.Name(), column.DatabaseTypeName(), column.ScanType().String(),
			length, hasLength, nullable, precision, scale)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		places := make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			step(label+" row", err)
			return
		}
		step(label+" row", values)
	}
	step(label+" rows", rows.Err())
}

func do(db queryer, label, query string, arguments ...any) {
	result, err := db.ExecContext(always, query, arguments...)
	if err != nil {
		step(label, err)
		return
	}
	id, _ := result.LastInsertId()
	rows, _ := result.RowsAffected()
	step(label, id, rows)
}

func recreate(db *sql.DB) {
	for _, query := range []string{"DROP DATABASE " + way.Database, "CREATE DATABASE " + way.Database + " CHARACTER SET utf8mb4", "USE " + way.Database} {
		_, err := db.Exec(query)
		must(err)
	}
}

// --- scenarios --------------------------------------------------------------------------------------------------------

const who = "SELECT DATABASE(), CURRENT_USER(), @@version"

func logins() {
	for _, more := range []string{"", "charset=utf8mb4,utf8", "collation=utf8mb4_unicode_ci", "timeout=5s&readTimeout=5s&writeTimeout=5s",
		"connectionAttributes=program_name:tests", "clientFoundRows=true", "maxAllowedPacket=0", "time_zone=%27%2B03%3A00%27&sql_mode=ANSI",
		"checkConnLiveness=false", "allowNativePasswords=false", "allowOldPasswords=true"} {
		db := open(more)
		step("ping "+more, db.Ping())
		ask(db, "who "+more, who)
		ask(db, "settings "+more, "SELECT @@character_set_client, @@collation_connection, @@time_zone, @@sql_mode")
		db.Close()
	}
	address := fmt.Sprintf("@tcp(%s:%d)/", way.Host, way.Port)
	for label, login := range map[string]string{"no database": way.User + ":" + way.Password + address} {
		db, _ := sql.Open("mysql", login)
		ask(db, label, who)
		ask(db, label, "SELECT * FROM nowhere")
		db.Close()
	}
	for _, login := range []string{way.User + ":wrong" + address, way.User + address, "nobody:x" + address, "nobody" + address,
		way.User + ":" + way.Password + address + "no_such_database", way.User + ":wrong" + address + "no_such_database"} {
		db, _ := sql.Open("mysql", login)
		step("refused "+login[:3], db.Ping())
		db.Close()
	}
	for _, more := range []string{"no_such_variable=1", "charset=nonsense", "collation=utf8mb4_nonsense", "sql_mode=NONSENSE"} {
		db := open(more)
		step("refused "+more, db.Ping())
		db.Close()
	}
}

func overTLS() {
	pem, err := os.ReadFile(way.Ca)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	must(mysql.RegisterTLSConfig("verified", &tls.Config{RootCAs: roots}))
	must(mysql.RegisterTLSConfig("old", &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12}))
	for _, mode := range []string{"verified", "old", "preferred", "skip-verify", "true", "false"} {
		db := open("tls=" + mode)
		ask(db, "tls "+mode, "SELECT ? + 1", 41)
		ask(db, "encrypted "+mode, "SHOW STATUS LIKE 'nothing'")
		db.Close()
	}
}

func types(db *sql.DB, label string) {
	script, err := os.ReadFile(way.Statements)
	must(err)
	for _, query := range strings.Split(strings.TrimSpace(string(script)), "\n") {
		do(db, label+" setup", query)
	}
	ask(db, label+" text", "SELECT * FROM types ORDER BY id")
	ask(db, label+" prepared", "SELECT * FROM types WHERE id > ? ORDER BY id", 0)
	ask(db, label+" zero text", "SELECT * FROM zero ORDER BY id")
	ask(db, label+" zero prepared", "SELECT * FROM zero WHERE id > ? ORDER BY id", 0)
	for id := 1; id < 4; id++ {
		copied, err := db.Prepare("INSERT INTO types (tiny, ubig, price, d, dt, ts, v, vb, bits, doc, t) SELECT tiny, ubig, price, d, dt, ts, v, vb, bits, doc, t FROM types WHERE id = ?")
		must(err)
		result, err := copied.Exec(id)
		must(err)
		last, _ := result.LastInsertId()
		step(label+" copied", last)
		must(copied.Close())
	}
	ask(db, label+" expressions", "SELECT ?, ? + 1, CONCAT(?, 'x'), ? IS NULL, CAST(? AS DECIMAL(20,5)), AVG(id), SUM(big), 1/3, x'00ff', DATE '2026-01-02' FROM types",
		int64(-5), 1.5, "é🐬'\\", nil, "12.25")
}

// parameters writes Go's types as parameters and reads them as text and prepared.
func parameters() {
	db := open("parseTime=true")
	defer db.Close()
	recreate(db)
	do(db, "create", "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, un BIGINT UNSIGNED, d DOUBLE, dt DATETIME(6), v TEXT, b LONGBLOB, j JSON)")
	when := time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)
	rows := [][]any{
		{nil, nil, nil, nil, nil, nil, nil},
		{int64(-1 << 63), uint64(1<<64 - 1), -1.7976931348623157e308, when, "emoji 🐬 ' \" \\ \x00", []byte{0, 255, '\'', '\\'}, json.RawMessage(`{"a": [1, null]}`)},
		{true, uint8(255), float32(1.5), time.Time{}, "", []byte{}, "[]"},
		{int8(-128), uint16(7), 0.0, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), strings.Repeat("ü", 70000), make([]byte, 1<<20), "\"text\""},
		{sql.NullInt64{Int64: 5, Valid: true}, sql.NullInt64{}, sql.NullFloat64{}, sql.NullTime{Time: when, Valid: true}, sql.NullString{String: "s", Valid: true}, sql.RawBytes("raw"), sql.NullString{}},
	}
	insert, err := db.Prepare("INSERT INTO p (n, un, d, dt, v, b, j) VALUES (?, ?, ?, ?, ?, ?, ?)")
	must(err)
	for i, row := range rows {
		if result, err := insert.Exec(row...); err != nil {
			step(fmt.Sprintf("parameters %d", i), err)
		} else {
			id, _ := result.LastInsertId()
			step(fmt.Sprintf("parameters %d", i), id)
		}
	}
	_, err = insert.Exec(1)
	step("too few", err)
	must(insert.Close())
	ask(db, "written", "SELECT * FROM p ORDER BY id")
	ask(db, "written, prepared", "SELECT * FROM p WHERE id > ? ORDER BY id", 0)
	ask(db, "by value", "SELECT id FROM p WHERE dt = ? OR n = ? OR un = ?", when, int64(-1<<63), uint64(1<<64-1))
	ask(db, "unsigned", "SELECT ?, ?", uint64(1<<64-1), int64(-1))
}

func writes(db *sql.DB, label string) {
	do(db, label, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k INT UNIQUE, v TEXT)")
	do(db, label, "INSERT INTO t (k, v) VALUES (?, ?), (?, ?)", 1, "one", 2, "two")
	ask(db, label, "SELECT LAST_INSERT_ID()")
	insert, err := db.Prepare("INSERT INTO t (k, v) VALUES (?, ?)")
	must(err)
	for n := 10; n < 200; n++ {
		_, err := insert.Exec(n, fmt.Sprint("v", n))
		must(err)
	}
	must(insert.Close())
	for _, query := range []string{
		"UPDATE t SET v = 'same' WHERE k < 20",
		"UPDATE t SET v = 'same' WHERE k < 25",
		"INSERT INTO t (k, v) VALUES (1, 'dup') ON DUPLICATE KEY UPDATE v = 'dup'",
		"INSERT INTO t (k, v) VALUES (1, 'x') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), v = 'twice'",
		"INSERT IGNORE INTO t (k) VALUES (1), (2000), (2)",
		"REPLACE INTO t (k, v) VALUES (11, 'replaced'), (3000, 'new')",
		"DELETE FROM t WHERE k > 100 AND k < 150",
		"INSERT INTO t (id, k) VALUES (100000, 5)",
	} {
		do(db, label+" "+query, query)
	}
	do(db, label+" prepared delete", "DELETE FROM t WHERE k > ?", 150)
	ask(db, label+" left", "SELECT COUNT(*), SUM(k) FROM t WHERE k > ?", 0)
	do(db, label+" warned", "INSERT IGNORE INTO t (k) VALUES ('x')")
	ask(db, label+" warnings", "SHOW WARNINGS")
	db.SetMaxIdleConns(0)
	db.SetMaxIdleConns(1)
	raw, err := db.Conn(always)
	must(err)
	must(raw.Raw(func(connection any) error {
		result, err := connection.(driver.ExecerContext).ExecContext(always, "INSERT INTO t (v) VALUES ('a'), ('b')", nil)
		must(err)
		step(label+" all", fmt.Sprint(result.(mysql.Result).AllRowsAffected(), result.(mysql.Result).AllLastInsertIds()))
		return nil
	}))
	must(raw.Close())
}

func transactions(db *sql.DB, label string) {
	do(db, label, "CREATE TABLE x (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)")
	other := open("")
	defer other.Close()
	count := "SELECT COUNT(*), MAX(id) FROM x WHERE id > ?"
	tx, err := db.Begin()
	must(err)
	do(tx, label+" insert", "INSERT INTO x (v) VALUES (?)", "one")
	ask(tx, label+" own", count, 0)
	ask(other, label+" other", count, 0)
	do(tx, label+" duplicate", "INSERT INTO x (v) VALUES (?)", "one")
	do(tx, label+" savepoint", "SAVEPOINT a")
	do(tx, label+" more", "INSERT INTO x (v) VALUES (?)", "two")
	do(tx, label+" back", "ROLLBACK TO SAVEPOINT a")
	statement, err := tx.Prepare(count)
	must(err)
	var rows, last int
	step(label+" prepared in it", statement.QueryRow(0).Scan(&rows, &last), rows, last)
	must(statement.Close())
	step(label+" commit", tx.Commit(), tx.Rollback())
	ask(other, label+" committed", count, 0)
	tx, err = db.Begin()
	must(err)
	do(tx, label+" delete", "DELETE FROM x")
	step(label+" rollback", tx.Rollback())
	ask(db, label+" rolled back", count, 0)
	isolation := "SELECT @@transaction_isolation"
	if way.Flavor == "mariadb" {
		isolation = "SELECT @@tx_isolation"
	}
	for _, level := range []sql.IsolationLevel{sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable, sql.LevelSnapshot} {
		tx, err := db.BeginTx(always, &sql.TxOptions{Isolation: level})
		if err != nil {
			step(fmt.Sprint(label, " ", level), err)
			continue
		}
		other.Exec("INSERT IGNORE INTO x (v) VALUES (?)", level.String())
		ask(tx, fmt.Sprint(label, " ", level), isolation)
		ask(tx, fmt.Sprint(label, " sees ", level), count, 0)
		must(tx.Commit())
	}
	tx, err = db.BeginTx(always, &sql.TxOptions{ReadOnly: true})
	must(err)
	ask(tx, label+" read only", count, 0)
	do(tx, label+" write", "INSERT INTO x (v) VALUES ('no')")
	must(tx.Commit())
	limited, cancel := context.WithCancel(always)
	tx, err = db.BeginTx(limited, nil)
	must(err)
	do(tx, label+" doomed", "DELETE FROM x")
	cancel()
	err = tx.Commit() // database/sql rolls back by itself meanwhile: whichever it notices first
	step(label+" cancelled", errors.Is(err, context.Canceled) || errors.Is(err, sql.ErrTxDone))
	ask(db, label+" after cancel", count, 0)
}

func failures(db *sql.DB, label string) {
	do(db, label, "CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(5) NOT NULL UNIQUE)")
	do(db, label, "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES parent (id))")
	for _, query := range []string{
		"INSERT INTO parent VALUES (1, 'one')", "INSERT INTO parent VALUES (1, 'again')", "INSERT INTO parent VALUES (2, 'too long for it')",
		"INSERT INTO parent (id, v) VALUES (2, NULL)", "INSERT INTO child VALUES (9)", "SELEC 1", "SELECT * FROM nowhere", "SELECT nothing FROM parent",
		"SELECT no_such_function(1)", "CALL no_such_procedure()", "USE no_such_database", "SELECT 1; SELECT 2", "SET sql_mode = 'NONSENSE'",
		"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own 🐬', MYSQL_ERRNO = 31000", "SELECT * FROM parent",
	} {
		ask(db, label+" "+query, query)
		statement, err := db.Prepare(query)
		step(label+" prepare "+query, err)
		if err == nil {
			// Not Exec: for a statement with rows, driver 1.10.1 waits forever for columns that MariaDB need not repeat.
			if rows, err := statement.Query(); err != nil {
				step(label+" execute "+query, err)
			} else {
				fetch(rows, label+" execute "+query)
				must(rows.Close())
			}
			must(statement.Close())
		}
	}
	ask(db, label+" late", "SELECT id, (SELECT id FROM parent UNION SELECT 2) FROM parent WHERE id > ?", 0)
	short, cancel := context.WithTimeout(always, 100*time.Millisecond)
	defer cancel()
	_, err := db.ExecContext(short, "DO SLEEP(3)")
	step(label+" timeout", errors.Is(err, context.DeadlineExceeded))
	ask(db, label+" after timeout", who)
}

func several() {
	db := open("multiStatements=true")
	defer db.Close()
	recreate(db)
	do(db, "several do", "CREATE TABLE m (a INT AUTO_INCREMENT PRIMARY KEY, b INT); INSERT INTO m (b) VALUES (1), (2); UPDATE m SET b = 3")
	ask(db, "several ask", "SELECT * FROM m; SELECT 'end' AS e, NULL AS n; DO 1; SELECT 2")
	ask(db, "error in the middle", "SELECT 1; SELECT * FROM nowhere; SELECT 2")
	do(db, "error in the middle", "INSERT INTO m (b) VALUES (5); INSERT INTO m VALUES (1, 1); INSERT INTO m (b) VALUES (6)")
	ask(db, "what is left", "SELECT * FROM m")
	do(db, "begin", "BEGIN; INSERT INTO m (b) VALUES (9); ROLLBACK")
	ask(db, "rolled back", "SELECT COUNT(*) FROM m")
	do(db, "create procedure", "CREATE PROCEDURE two(IN a INT, OUT b INT) BEGIN SET b = a * 2; SELECT a AS first; SELECT a + 1 AS second, 'x' AS text UNION SELECT a, 'y'; END")
	do(db, "create procedure", "CREATE PROCEDURE stops() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stop'; END")
	ask(db, "call", "CALL two(1, @b)")
	ask(db, "output", "SELECT @b")
	ask(db, "call prepared", "CALL two(?, @b)", 21)
	ask(db, "output", "SELECT @b")
	ask(db, "stops", "CALL stops()")
	connection, err := db.Conn(always)
	must(err)
	must(connection.Raw(func(raw any) error {
		result, err := raw.(driver.ExecerContext).ExecContext(always, "INSERT INTO m (b) VALUES (1); INSERT INTO m (b) VALUES (2), (3); DELETE FROM m", nil)
		must(err)
		step("all", fmt.Sprint(result.(mysql.Result).AllRowsAffected(), result.(mysql.Result).AllLastInsertIds()))
		return nil
	}))
	must(connection.Close())
	mysql.RegisterReaderHandler("rows", func() io.Reader {
		var text strings.Builder
		for n := 0; n < 50000; n++ {
			fmt.Fprintf(&text, "%d\t%d\n", n+1, n*n%1000)
		}
		return strings.NewReader(text.String())
	})
	do(db, "infile", "LOAD DATA LOCAL INFILE 'Reader::rows' INTO TABLE m")
	do(db, "infile again", "LOAD DATA LOCAL INFILE 'Reader::rows' IGNORE INTO TABLE m")
	do(db, "no reader", "LOAD DATA LOCAL INFILE 'Reader::none' INTO TABLE m")
	do(db, "no file", "LOAD DATA LOCAL INFILE '/none' INTO TABLE m")
	ask(db, "loaded", "SELECT COUNT(*), SUM(b) FROM m")
}

func sessions() {
	db := open("")
	defer db.Close()
	for _, query := range []string{"SET @kept = 'kept'", "SET time_zone = '+05:30'", "CREATE TEMPORARY TABLE mine (a INT)", "INSERT INTO mine VALUES (1), (2)",
		"SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"} {
		do(db, query, query)
	}
	ask(db, "kept", "SELECT @kept, @@time_zone, ?, 'back\\slash' AS \"quoted\", (SELECT SUM(a) FROM mine)", "text")
	ask(db, "lock", "SELECT GET_LOCK('clients', 0), IS_USED_LOCK('clients') = CONNECTION_ID(), RELEASE_LOCK('clients')")
	connection, err := db.Conn(always)
	must(err)
	do(connection, "use", "USE information_schema")
	ask(connection, "used", "SELECT DATABASE()")
	step("bad", connection.Raw(func(any) error { return driver.ErrBadConn }))
	ask(db, "a new connection", "SELECT @kept, DATABASE()")
	step("ping", db.Ping())
	// A statement of a pool is prepared anew on every connection that runs it.
	statement, err := db.Prepare("SELECT ? + 1")
	must(err)
	var sum int
	step("on the first", statement.QueryRow(1).Scan(&sum), sum)
	db.SetMaxIdleConns(-1)
	db.SetMaxIdleConns(1)
	step("on the second", statement.QueryRow(2).Scan(&sum), sum)
	must(statement.Close())
	for n := 0; n < 30; n++ {
		statement, err := db.Prepare(fmt.Sprintf("SELECT %d + ?", n))
		must(err)
		defer statement.Close()
		must(statement.QueryRow(n).Scan(&sum))
		step("open statements", sum)
	}
	do(db, "altered", "CREATE TABLE altered (a INT)")
	statement, err = db.Prepare("SELECT * FROM altered WHERE 1 = ?")
	must(err)
	do(db, "altered", "INSERT INTO altered VALUES (1)")
	do(db, "altered", "ALTER TABLE altered ADD COLUMN b VARCHAR(9) DEFAULT 'new'")
	rows, err := statement.Query(1)
	must(err)
	fetch(rows, "altered")
	must(rows.Close())
	do(db, "altered", "DROP TABLE altered")
	_, err = statement.Query(1)
	step("altered away", err)
	must(statement.Close())
}

// concurrent has a pool's workers count together.
func concurrent() {
	db, err := sql.Open("mysql", dsn(""))
	must(err)
	defer db.Close()
	db.SetMaxOpenConns(6)
	do(db, "counter", "CREATE TABLE counter (n INT)")
	do(db, "counter", "INSERT INTO counter VALUES (0)")
	done := make(chan error)
	for worker := 0; worker < 12; worker++ {
		go func() {
			done <- func() error {
				for n := 0; n < 10; n++ {
					tx, err := db.Begin()
					if err != nil {
						return err
					}
					if _, err := tx.Exec("UPDATE counter SET n = n + ?", 1); err != nil {
						return err
					}
					end := tx.Commit
					if n%2 == 1 {
						end = tx.Rollback
					}
					if err := end(); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for worker := 0; worker < 12; worker++ {
		if err := <-done; err != nil {
			step("worker", err)
		}
	}
	ask(db, "counted", "SELECT n FROM counter")
}

func streams() {
	db := open("")
	defer db.Close()
	do(db, "digit", "CREATE TABLE digit (n INT PRIMARY KEY)")
	do(db, "digit", "INSERT INTO digit VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)")
	query := "SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS id, REPEAT('é', 20) AS text, NULL AS nothing FROM digit a, digit b, digit c, digit d, digit e WHERE a.n >= ? ORDER BY id"
	for _, arguments := range [][]any{{0}, nil} {
		rows, err := db.Query(strings.Replace(query, "?", map[bool]string{true: "0", false: "?"}[arguments == nil], 1), arguments...)
		must(err)
		hash, count := sha256.New(), 0
		for rows.Next() {
			var id int
			var text string
			var nothing any
			must(rows.Scan(&id, &text, &nothing))
			fmt.Fprintln(hash, id, text, nothing)
			count++
		}
		step("streamed", rows.Err(), count, hash.Sum(nil))
	}
	rows, err := db.Query(query, 0)
	must(err)
	step("first", rows.Next())
	must(rows.Close())
	ask(db, "given up", "SELECT COUNT(*) FROM digit")
}

func large() {
	db := open("maxAllowedPacket=67108864")
	defer db.Close()
	do(db, "create", "CREATE TABLE l (id INT PRIMARY KEY, v LONGTEXT, b LONGBLOB)")
	text := strings.Repeat("é", 1<<19)
	do(db, "write", "INSERT INTO l VALUES (?, ?, ?)", 1, text, []byte(text))
	ask(db, "read", "SELECT v, b FROM l WHERE id = ?", 1)
	ask(db, "sent in several packets", "SELECT CRC32(?), LENGTH(?)", strings.Repeat("x", 1<<24+7), "é")
	for _, size := range []int{1<<24 - 6, 1<<24 - 5, 1 << 24} {
		ask(db, "received in several packets", "SELECT REPEAT('x', ?)", size)
	}
	do(db, "too large", "INSERT INTO l VALUES (1, ?, NULL)", strings.Repeat("x", 65<<20))
	ask(db, "afterwards", "SELECT COUNT(*) FROM l")
}
