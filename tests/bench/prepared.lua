-- Point selects by prepared statements whose rows are looked at: every client checks that it got the row it asked for.
--
-- sysbench's own driver throws the rows of prepared statements away, so this calls the client library that sysbench is
-- linked with. One event of the report is one query.

local ffi = require("ffi")

ffi.cdef[[
/* MYSQL_BIND of libmariadb and of libmysqlclient alike */
typedef struct {
   unsigned long *length; char *is_null; void *buffer; char *error; void *row;
   void *store; void *fetch; void *skip;
   unsigned long buffer_length; unsigned long offset; unsigned long length_value;
   unsigned int number; unsigned int pack_length; int buffer_type;
   char error_value; char is_unsigned; char long_data_used; char is_null_value;
   void *extension;
} checked_bind;
void *mysql_init(void *);
void *mysql_real_connect(void *, const char *, const char *, const char *, const char *, unsigned int, const char *,
                         unsigned long);
const char *mysql_error(void *);
void mysql_close(void *);
void *mysql_stmt_init(void *);
int mysql_stmt_prepare(void *, const char *, unsigned long);
char mysql_stmt_bind_param(void *, checked_bind *);
char mysql_stmt_bind_result(void *, checked_bind *);
int mysql_stmt_execute(void *);
int mysql_stmt_fetch(void *);
char mysql_stmt_free_result(void *);
char mysql_stmt_close(void *);
const char *mysql_stmt_error(void *);
]]

local LONG, STRING, NO_DATA = 3, 254, 100
local QUERY = "SELECT id, c FROM sbtest1 WHERE id = ?"

sysbench.cmdline.options = {
   tables = {"Not used", 1},
   table_size = {"Rows of the table", 100000},
}

local function check(failed, message)
   if failed then
      error(ffi.string(message))
   end
end

-- Some options are lists, of hosts for instance.
local function option(name)
   local value = sysbench.opt[name]
   return type(value) == "table" and value[1] or value
end

function thread_init()
   connection = ffi.C.mysql_init(nil)
   local done = ffi.C.mysql_real_connect(connection, option("mysql_host"), option("mysql_user"),
                                         option("mysql_password"), option("mysql_db"), tonumber(option("mysql_port")),
                                         nil, 0)
   check(done == nil, ffi.C.mysql_error(connection))
   statement = ffi.C.mysql_stmt_init(connection)
   check(ffi.C.mysql_stmt_prepare(statement, QUERY, #QUERY) ~= 0, ffi.C.mysql_stmt_error(statement))
   wanted, got, text = ffi.new("int[1]"), ffi.new("int[1]"), ffi.new("char[256]")
   size = ffi.new("unsigned long[1]")
   parameters, columns = ffi.new("checked_bind[1]"), ffi.new("checked_bind[2]")
   parameters[0].buffer_type, parameters[0].buffer = LONG, wanted
   columns[0].buffer_type, columns[0].buffer = LONG, got
   columns[1].buffer_type, columns[1].buffer, columns[1].buffer_length = STRING, text, 256
   columns[1].length = size
   check(ffi.C.mysql_stmt_bind_param(statement, parameters) ~= 0, ffi.C.mysql_stmt_error(statement))
   check(ffi.C.mysql_stmt_bind_result(statement, columns) ~= 0, ffi.C.mysql_stmt_error(statement))
end

function event()
   wanted[0] = sysbench.rand.default(1, sysbench.opt.table_size)
   check(ffi.C.mysql_stmt_execute(statement) ~= 0, ffi.C.mysql_stmt_error(statement))
   check(ffi.C.mysql_stmt_fetch(statement) ~= 0, ffi.C.mysql_stmt_error(statement))
   if got[0] ~= wanted[0] or size[0] ~= 119 then
      error(string.format("WRONG ROW: asked for %d, got %d (%d bytes)", wanted[0], got[0], tonumber(size[0])))
   end
   check(ffi.C.mysql_stmt_fetch(statement) ~= NO_DATA, "more than one row")
   ffi.C.mysql_stmt_free_result(statement)
end

function thread_done()
   ffi.C.mysql_stmt_close(statement)
   ffi.C.mysql_close(connection)
end
