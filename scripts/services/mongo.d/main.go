// A server that speaks MongoDB's protocol, for tests: FerretDB on SQLite.
//
//	mongo DIR ADDRESS
//
// Keeps its data in DIR, which must exist, listens on ADDRESS (host:port), and
// stops at SIGTERM. FerretDB's own command cannot be built from its published
// module, which lacks a generated file; the package that it offers for embedding
// can.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mongo:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: mongo DIR ADDRESS")
	}
	dir, address := args[0], args[1]

	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: address},
		Handler:   "sqlite",
		SQLiteURL: "file:" + (&url.URL{Path: dir}).EscapedPath() + "/",
	})
	if err != nil {
		return err
	}

	// The port is taken by now, and whoever connects waits for `Run`.
	fmt.Fprintln(os.Stderr, "mongo: listening on", address)

	// Ctrl-C goes to the whole group of processes; whoever started this decides
	// when it ends.
	signal.Ignore(os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return server.Run(ctx)
}
