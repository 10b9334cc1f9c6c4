// Package grammar reads and writes the commands of the parallel base backup
// protocol (§2), and those of the stock walsender that go with them (§4.9, §9). The options
// of BASE_BACKUP are read once the version of PostgreSQL is known ([BaseBackup.Parse]).
//
// [Parse] turns the text of a Query message into a [Command]; a command's String
// method is the text again, in the form that clients send. Neither does any I/O,
// and whether a path, a backup id or a setting exists is for the caller to find
// out. Values are those of package protocol, and so are errors: what is wrong with a text
// is the answer to whoever sent it.
//
// The grammar is the set of structs in syntax.go; testdata/grammar.ebnf shows it
// in one piece. Reading follows PostgreSQL's repl_scanner.l and repl_gram.y, with
// these differences: keywords are recognised in any case, options have no list in
// parentheses, and errors say where they are.
package grammar
