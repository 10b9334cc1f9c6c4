// Package conninfo reads where and as whom to connect as libpq does: connection
// strings in both of their forms, service files, environment variables, the password
// file. The result is one [Info], made once, from which come the configurations to
// connect with ([Info.Configs], [Connect]) and a standby's primary_conninfo
// ([Info.PrimaryConnInfo]).
//
// A value comes from the first of these that has one: the program's own options, the
// connection string, the service file, the environment, libpq's defaults. Every keyword
// of libpq 15 to 18 is known, and is honoured, or of no consequence here, or refused by
// name ([Keywords]). Whatever else is an error, never a setting of the server.
//
// No error of this package holds a password, or more of a connection string than the
// name of a keyword.
package conninfo
