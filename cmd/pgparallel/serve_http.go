package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// metricsAddress is the value of --metrics-listen: host and port.
type metricsAddress string

// UnmarshalText reads HOST:PORT, or a port alone, which is one of this machine.
func (a *metricsAddress) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	if err != nil {
		host, port = "", string(text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && port != "0" {
		return usagef("invalid address %q for option --metrics-listen: HOST:PORT, or a port of this machine; * stands for every address", text)
	}
	switch host {
	case "":
		host = "127.0.0.1"
	case "*":
		host = ""
	}
	*a = metricsAddress(net.JoinHostPort(host, port))
	return nil
}

// listen opens the address; nil where none was asked for.
func (a metricsAddress) listen() (net.Listener, error) {
	if a == "" {
		return nil, nil
	}
	address, err := net.ResolveTCPAddr("tcp", string(a))
	if err != nil {
		return nil, fmt.Errorf("could not listen on %q for metrics: %w", string(a), err)
	}
	l, err := net.ListenTCP(family(address.IP), address)
	if err != nil {
		return nil, fmt.Errorf("could not listen on %q for metrics: %w", string(a), systemCall(err))
	}
	return l, nil
}

// systemCall is what the system said, without the address, which the message has already.
func systemCall(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// metricsServer answers /metrics, /healthz and /readyz over HTTP.
type metricsServer struct {
	http  *http.Server
	ended chan struct{} // closed when it serves no more
}

// readyTime bounds how long /readyz asks the cluster.
const readyTime = 5 * time.Second

// serveMetrics serves on the listener until it is closed. ready is asked by /readyz.
func serveMetrics(l net.Listener, metrics prometheus.Gatherer, ready func(context.Context) error, log *zap.Logger) *metricsServer {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithTimeout(r.Context(), readyTime)
		defer end()
		if err := ready(ctx); err != nil {
			http.Error(w, errorText(err), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &metricsServer{
		http: &http.Server{
			Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
			ErrorLog: zap.NewStdLog(zap.NewNop()), // what a client of this port does wrong is no concern of the log
		},
		ended: make(chan struct{}),
	}
	log.Info(fmt.Sprintf("metrics are at http://%s/metrics", l.Addr()))
	go func() { // ends by close
		defer close(s.ended)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are served no more", zap.Error(err))
		}
	}()
	return s
}

// close ends it with its connections.
func (s *metricsServer) close() {
	_ = s.http.Close() // of the listener: it is of no use any more
	<-s.ended
}
