// Package tlsfiles makes the TLS configuration of a server out of files, as PostgreSQL
// does out of ssl_cert_file, ssl_key_file, ssl_ca_file and ssl_crl_file, and makes it
// anew when the files have changed. [SelfSigned] makes files for trying things out.
//
//	files, err := tlsfiles.Open(tlsfiles.Files{Certificate: "server.crt", Key: "server.key"})
//	…
//	server := &walsender.Server{Cluster: cluster, TLSConfig: files.Config()}
//	…
//	err = files.Reload() // at SIGHUP; sessions go on as they are
package tlsfiles
