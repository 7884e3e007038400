# DBD::mysql and DBD::MariaDB as an application uses them: every step is printed as a line of JSON, [label, text].
# The only argument is the way, as JSON, with the driver's name in it (see ../programs.py).

use strict;
use warnings;
use utf8;
use DBI qw(:sql_types);
use Digest::SHA qw(sha256_hex);
use File::Temp;
use JSON::PP;

my $json = JSON::PP->new->canonical->ascii->allow_nonref;
my $way = JSON::PP->new->decode($ARGV[0]);
my $driver = $way->{driver};
my $prefix = lc $driver;
$| = 1;

sub shown {
    my ($value) = @_;
    return 'undef' unless defined $value;
    return '[' . join(', ', map { shown($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(', ', map { "$_: " . shown($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    my $bytes = $value;
    utf8::encode($bytes) if utf8::is_utf8($bytes);
    return (utf8::is_utf8($value) ? 'text ' : 'bytes ') . (length $bytes > 300 ? length($bytes) . ' ' . sha256_hex($bytes) : "'$bytes'");
}

sub step {
    my ($label, @values) = @_;
    my $text = join ', ', map { shown($_) } @values;
    utf8::decode($text) unless utf8::is_utf8($text);
    print $json->encode([$label, $text]), "\n";
}

sub problem {
    my ($handle) = @_;
    my $text = $handle->errstr;
    $text =~ s/ at \S+ line \d+.*//s if defined $text;
    return ['error', $handle->err, $handle->state, $text];
}

sub login {
    my (%more) = @_;
    my $database = exists $more{database} ? delete $more{database} : $way->{database};
    my $user = delete $more{user} // $way->{user};
    my $password = exists $more{password} ? delete $more{password} : $way->{password};
    my $options = delete $more{options} // '';
    return DBI->connect("DBI:$driver:host=$way->{host};port=$way->{port};" . ($database ? "database=$database;" : '') . $options, $user, $password,
        { PrintError => 0, RaiseError => 0, AutoCommit => 1, ($driver eq 'mysql' ? (mysql_enable_utf8mb4 => 1) : ()), %more });
}

# Columns, rows, counts and warnings of every result of a statement.
sub ask {
    my ($db, $sql, @arguments) = @_;
    my $label = substr $sql, 0, 200;
    my $statement = $db->prepare($sql) or return step("prepare $label", problem($db));
    my $count = $statement->execute(@arguments);
    return step("execute $label", problem($statement)) unless defined $count;
    while (1) {
        if ($statement->{NUM_OF_FIELDS}) {
            step("columns $label", map { $statement->{$_} } qw(NAME TYPE NULLABLE PRECISION SCALE),
                map { "${prefix}_$_" } qw(table type_name is_auto_increment is_key is_num is_pri_key length max_length));
            my $rows = $statement->fetchall_arrayref;
            step("rows $label", $rows, $statement->err ? problem($statement) : 'no error');
        } else {
            step("done $label", $statement->rows, $statement->{"${prefix}_insertid"}, $db->{"${prefix}_info"}, $statement->{"${prefix}_warning_count"});
        }
        last unless $statement->more_results;
    }
    step("failed $label", problem($statement)) if $statement->err;
    $statement->finish;
}

sub logins {
    my $who = 'SELECT DATABASE(), CURRENT_USER(), @@version, @@character_set_client, @@collation_connection';
    my $tls = "${prefix}_ssl=1;${prefix}_ssl_ca_file=$way->{ca}";
    for my $more ({}, { database => '' }, { options => "$tls" }, { options => "$tls;${prefix}_ssl_verify_server_cert=1" }, { options => "${prefix}_client_found_rows=0" },
        { options => "${prefix}_init_command=SET \@greeting=1" }, { options => "${prefix}_connect_timeout=5;${prefix}_read_timeout=20" }, { password => 'wrong' }, { password => '' }, { user => 'nobody' },
        { database => 'no_such_database' }) {
        my $label = join ' ', 'login', map { my $text = "$_ $more->{$_}"; $text =~ s{=/\S*?pem|=/.*}{}; $text } grep { $_ ne 'password' } sort keys %$more;
        my $db = login(%$more);
        unless ($db) {
            step($label, ['error', $DBI::err, $DBI::state, $DBI::errstr]);
            next;
        }
        ask($db, $who);
        ask($db, 'SELECT @greeting');
        step($label, $db->ping, map { $db->{"${prefix}_$_"} } qw(serverinfo serverversion protoinfo));
        $db->disconnect;
    }
}

sub types {
    my ($db, $label) = @_;
    open my $script, '<:encoding(UTF-8)', $way->{statements} or die $!;
    for my $sql (<$script>) {
        chomp $sql;
        step($label, $db->do($sql), $db->err ? problem($db) : 'no error');
    }
    # The client library does not know vectors.
    $db->do('ALTER TABLE types DROP COLUMN vec') if $way->{flavor} eq 'mysql';
    ask($db, 'SELECT * FROM types ORDER BY id');
    ask($db, 'SELECT * FROM types WHERE id > ? ORDER BY id', 0);
    ask($db, 'SELECT * FROM zero WHERE id > ? ORDER BY id', 0);
    $db->do('CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n BIGINT, price DECIMAL(30,10), d DOUBLE, dt DATETIME(6), v LONGTEXT, b LONGBLOB)');
    my $insert = $db->prepare('INSERT INTO p (n, price, d, dt, v, b) VALUES (?, ?, ?, ?, ?, ?)');
    for my $row ([(undef) x 6], [-9223372036854775808, '-12345678901234567890.0123456789', -1.5e300, '2026-02-28 23:59:59.123456', "emoji 🐬 ' \" \\ \0", "\x00\xff'\\"],
        ['9223372036854775807', 5, 0, undef, '', ''], [1, '1.5', 1.5, undef, 'ü' x 70000, "\0" x 300000], ['x', 1, 1, 1, 1, 1]) {
        $insert->bind_param(1, $row->[0], SQL_BIGINT);
        $insert->bind_param($_ + 1, $row->[$_]) for 1 .. 4;
        $insert->bind_param(6, $row->[5], SQL_BLOB);
        my $done = do { local $SIG{__WARN__} = sub { }; $insert->execute };
        step("insert $label", $done, $done ? [$insert->{"${prefix}_insertid"}, $db->last_insert_id(undef, undef, undef, undef)] : problem($insert));
    }
    $insert->finish;
    my @states;
    $insert = $db->prepare('INSERT INTO p (n, v) VALUES (?, ?)');
    step("array $label", $insert->execute_array({ ArrayTupleStatus => \@states }, [10 .. 29], [map { "é$_" } 10 .. 29]), \@states);
    $insert->finish;
    ask($db, 'SELECT * FROM p ORDER BY id');
    ask($db, 'SELECT ?, ? + 1, CONCAT(?), ? IS NULL', 5, 1.5, 'é', undef);
}

sub transactions {
    my ($db, $label) = @_;
    my $other = login();
    my $count = 'SELECT COUNT(*), MAX(id) FROM t WHERE id > ?';
    $db->do('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)');
    step("begin $label", $db->begin_work);
    ask($db, 'INSERT INTO t (v) VALUES (?), (?)', 'one', 'two');
    ask($db, 'INSERT INTO t (v) VALUES (?)', 'one');
    ask($db, $count, 0);
    ask($other, $count, 0);
    step("commit $label", $db->commit, $db->{AutoCommit});
    ask($other, $count, 0);
    $db->{AutoCommit} = 0;
    ask($db, 'DELETE FROM t');
    step("rollback $label", $db->rollback);
    ask($db, $count, 0);
    ask($db, 'SELECT * FROM t WHERE id = 1 FOR UPDATE');
    ask($other, 'SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT');
    $db->{AutoCommit} = 1;
    ask($other, 'SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT');
    for my $sql ('UPDATE t SET v = v', "INSERT IGNORE INTO t (v) VALUES ('one'), ('three')", 'SHOW WARNINGS', 'SELEC 1', 'SELECT * FROM nowhere', 'SELECT nothing FROM t', 'SELECT 1; SELECT 2', 'CALL no_such_procedure()',
        'USE no_such_database', "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own é', MYSQL_ERRNO = 31000", "SELECT CAST('x' AS SIGNED)") {
        ask($db, $sql);
        step("do $label", $db->do($sql), $db->err ? problem($db) : 'no error');
    }
    $other->do('SET autocommit = 0');
    $other->do("INSERT INTO t (v) VALUES ('lost')");
    $other->disconnect;
    ask($db, 'SELECT COUNT(*) FROM t FOR UPDATE');
}

sub streams {
    my ($db, $label) = @_;
    my $large = $db->prepare("SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS id, REPEAT('é', 20) AS text FROM digit a, digit b, digit c, digit d WHERE a.n >= ? ORDER BY id", { "${prefix}_use_result" => 1 });
    my ($digest, $count) = (Digest::SHA->new(256), 0);
    $large->execute(0);
    while (my $row = $large->fetchrow_arrayref) {
        my $text = join ',', @$row;
        utf8::encode($text) if utf8::is_utf8($text);
        $digest->add($text);
        $count++;
    }
    step("streamed $label", $count, $digest->hexdigest);
    $large->finish;
}

sub rest {
    my ($db, $label, $server) = @_;
    ask($db, "CREATE PROCEDURE two(IN a INT) BEGIN SELECT a AS first; SELECT a + 1 AS second, 'x' AS text; END");
    ask($db, "CREATE PROCEDURE stops() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stop'; END");
    ask($db, 'CALL two(?)', 21);
    ask($db, 'CALL two(1)');
    ask($db, 'CALL stops()');
    ask($db, "SET \@kept = 1, time_zone = '+01:00'");
    ask($db, 'CREATE TEMPORARY TABLE mine (a INT)');
    ask($db, 'SELECT @kept, @@time_zone, (SELECT COUNT(*) FROM mine)');
    my @open = map { $db->prepare("SELECT $_ + ? AS sum") } 0 .. 19;
    for my $statement (@open) {
        $statement->execute(5);
        step("open $label", $statement->fetchall_arrayref);
    }
    $db->do('CREATE TABLE digit (n INT PRIMARY KEY)');
    $db->do('INSERT INTO digit VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)');
    # DBD::mysql waits forever for rows of a prepared statement that it does not store first.
    streams($db, $label) unless $server;
    ask($db, 'SELECT COUNT(*) FROM digit');
    ask($db, "SELECT REPEAT('x', ?), LENGTH(?)", (1 << 24) - 5, 'y' x ((1 << 24) + 7));
    step("tables $label", [sort $db->tables(undef, $way->{database}, '%', 'TABLE')]);
    if ($driver eq 'mysql') {
        my $columns = $db->column_info(undef, $way->{database}, 'p', '%');
        step("columns $label", $columns ? $columns->fetchall_arrayref : problem($db));
    }
    step("keys $label", [$db->primary_key(undef, $way->{database}, 't')]);
    my $file = File::Temp->new;
    print $file "$_\n" for 1 .. 20000;
    close $file;
    my $infile = login(options => "${prefix}_local_infile=1");
    ask($infile, 'CREATE TABLE l (a INT)');
    step("infile $label", $infile->do("LOAD DATA LOCAL INFILE '" . $file->filename . "' INTO TABLE l"), $infile->{"${prefix}_info"}, $infile->err ? problem($infile) : 'no error');
    ask($infile, 'SELECT COUNT(*), SUM(a) FROM l');
    $infile->disconnect;
}

logins();
for my $server (0, 1) {
    for my $utf8 ($driver eq 'mysql' ? (0, 1) : (1)) {
        next if $server == 0 && $utf8 == 0;
        my $db = login(options => "${prefix}_server_prepare=$server;${prefix}_multi_statements=" . (1 - $server), ($driver eq 'mysql' ? (mysql_enable_utf8mb4 => $utf8) : ()));
        $db->do("$_ $way->{database}") for 'DROP DATABASE', 'CREATE DATABASE', 'USE';
        my $label = "server_prepare $server utf8 $utf8";
        types($db, $label);
        transactions($db, $label);
        rest($db, $label, $server);
        $db->disconnect;
    }
}
