package conformance

import "slices"

// serverCases are all cases that test servers, area by area.
func serverCases() []serverCase {
	return slices.Concat(serverConnectCases(), serverGrammarCases(), serverSessionCases(), serverBackupCases(),
		serverListCases(), serverFileCases(), serverWALCases(), serverOtherCases())
}
