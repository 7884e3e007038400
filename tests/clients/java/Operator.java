// An operator with MySQL Connector/J or MariaDB Connector/J: what a tool does with a server before it shows anything.
// Arguments: the URL, the user, the password. What was seen is printed as lines.

import java.sql.*;

public class Operator {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            DatabaseMetaData about = connection.getMetaData();
            System.out.println("version " + about.getDatabaseProductVersion().startsWith("8.4.0"));
            System.out.println("valid " + connection.isValid(5));
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement(
                    "SELECT server, in_use, lag_seconds FROM stats.servers WHERE role = ? ORDER BY server")) {
                statement.setString(1, "primary");
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next()) {
                        rows.getInt("in_use");
                        rows.getDouble("lag_seconds");
                        System.out.println("primary " + rows.getString(1));
                    }
                }
            }
            connection.commit();
            connection.setAutoCommit(true);
            int tables = 0;
            try (ResultSet rows = about.getTables("stats", null, "%", null)) {
                while (rows.next()) if (rows.getString("TABLE_NAME").equals("servers")) tables++;
            }
            System.out.println("tables " + tables);
            int columns = 0;
            try (ResultSet rows = about.getColumns("stats", null, "version", "%")) {
                while (rows.next()) columns++;
            }
            System.out.println("columns " + columns);
            connection.setCatalog("main");
            System.out.println("catalog " + connection.getCatalog());
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery("SELECT * FROM nowhere");
            } catch (SQLException error) {
                System.out.println("error " + error.getErrorCode() + " " + error.getSQLState());
            }
        }
    }
}
