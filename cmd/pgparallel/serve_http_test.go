package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender"
)

func TestMetricsAddress(t *testing.T) {
	for text, want := range map[string]metricsAddress{
		"9187": "127.0.0.1:9187", ":9187": "127.0.0.1:9187", "*:9187": ":9187", "0.0.0.0:0": "0.0.0.0:0", "[::1]:9187": "[::1]:9187", "db1:9187": "db1:9187",
	} {
		var got metricsAddress
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "db1", "db1:", "db1:http", "65536", "-1", "::1:9187"} {
		if err := new(metricsAddress).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// The server of the metrics leaves no goroutine behind, also where a request is under way.
func TestServeMetrics_Close(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	ready := func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		return errors.New("nobody waits any more")
	}
	registry := newServerMetrics(&walsender.Server{}).registry()
	s := serveMetrics(l, registry, ready, zap.NewNop())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan error, 1)
	go func() { // ends when the server is closed
		answer, err := client.Get("http://" + l.Addr().String() + "/readyz")
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
		answered <- err
	}()
	<-asked
	s.close()
	if err := <-answered; err == nil {
		t.Error("the request was answered")
	}
	goleak.VerifyNone(t, leaks)
}
