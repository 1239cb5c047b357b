package pgtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a program and the server and loses the answer to a COMMIT on request:
// the server has committed, and the program sees its connection end.
type Proxy struct {
	Address string // of the database, through the proxy

	upstream string
	listener net.Listener
	lose     atomic.Int32 // how many more COMMITs until one is lost; 0 for none
	lost     atomic.Int32

	mu   sync.Mutex
	open map[net.Conn]bool
	all  sync.WaitGroup
}

// NewProxy starts a proxy to the database at an address, until the end of the test.
func NewProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{upstream: u.Host, open: map[net.Conn]bool{}}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	p.Address = u.String()
	p.all.Go(p.serve)
	t.Cleanup(func() {
		p.listener.Close()
		p.mu.Lock()
		for c := range p.open {
			c.Close()
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

// LoseCommit loses the answer to the n-th COMMIT from now on; 0 loses none.
func (p *Proxy) LoseCommit(n int) { p.lose.Store(int32(n)) }

// Lost is how many answers were lost.
func (p *Proxy) Lost() int { return int(p.lost.Load()) }

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.upstream)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		end := func() {
			client.Close()
			server.Close()
			p.mu.Lock()
			delete(p.open, client)
			delete(p.open, server)
			p.mu.Unlock()
		}
		p.all.Go(func() {
			defer end()
			_, _ = io.Copy(server, client) // an end is an end
		})
		p.all.Go(func() {
			defer end()
			p.answer(client, bufio.NewReader(server))
		})
	}
}

// answer passes messages of the server on, each a letter, its length and its content, until one
// is to be lost.
func (p *Proxy) answer(client io.Writer, server *bufio.Reader) {
	var header [5]byte
	for {
		if _, err := io.ReadFull(server, header[:]); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(header[1:])
		if length < 4 {
			return
		}
		content := make([]byte, length-4)
		if _, err := io.ReadFull(server, content); err != nil {
			return
		}
		const commandComplete = 'C'
		if header[0] == commandComplete && bytes.Equal(content, []byte("COMMIT\x00")) && p.lose.Load() > 0 && p.lose.Add(-1) == 0 {
			p.lost.Add(1)
			return
		}
		if _, err := client.Write(append(header[:], content...)); err != nil {
			return
		}
	}
}
