// Command witness runs Torchwood's litewitness for one log: it makes the
// witness's key, holds it as the ssh-agent that litewitness asks, makes the log known in its
// database, and runs it until stdin ends. litewitness says on stderr which key it has.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	_ "filippo.io/torchwood" // pins the module whose litewitness is run
	"golang.org/x/crypto/ssh/agent"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func main() {
	program := flag.String("litewitness", "litewitness", "the program to run")
	dir := flag.String("dir", ".", "directory for its database and socket")
	vkey := flag.String("log", "", "verifier key of the log")
	name := flag.String("name", "witness.example/w1", "name of the witness")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	db := filepath.Join(*dir, "litewitness.db")
	if err := addLog(db, *vkey); err != nil {
		log.Fatalf("make the log known: %v", err)
	}
	socket := filepath.Join(*dir, "agent")
	key, err := serveKey(socket)
	if err != nil {
		log.Fatalf("serve the key: %v", err)
	}
	hash := sha256.Sum256(key)
	cmd := exec.Command(*program, "-db", db, "-ssh-agent", socket, "-key", hex.EncodeToString(hash[:]), "-name", *name, "-listen", *listen)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = cmd.Process.Kill()
	}()
	_ = cmd.Wait()
}

// addLog makes a database as litewitness has it, with one log that it never cosigned.
func addLog(path, vkey string) error {
	db, err := sqlite.OpenConn(path)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := sqlitex.ExecScript(db, `
		CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
		CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));`); err != nil {
		return err
	}
	origin, _, _ := strings.Cut(vkey, "+")
	empty := sha256.Sum256(nil)
	if err := sqlitex.Execute(db, "INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)",
		&sqlitex.ExecOptions{Args: []any{origin, base64.StdEncoding.EncodeToString(empty[:])}}); err != nil {
		return err
	}
	return sqlitex.Execute(db, "INSERT INTO key (origin, key) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{origin, vkey}})
}

// serveKey makes an Ed25519 key and answers as an ssh-agent that has it.
func serveKey(socket string) (ed25519.PublicKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keys, conn) }()
		}
	}()
	return public, nil
}
