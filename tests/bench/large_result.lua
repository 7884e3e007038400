-- One statement with a large result, again and again: the driver stores it in C and nobody looks at a row.

sysbench.cmdline.options = {
   statement = {"Statement to run", "SELECT * FROM big"}
}

function thread_init()
   drv = sysbench.sql.driver()
   con = drv:connect()
end

function event()
   con:query(sysbench.opt.statement)
end

function thread_done()
   con:disconnect()
end
