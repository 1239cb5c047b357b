package ldapserver

import (
	"crypto/tls"
	"io"
	"net"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Conn is one connection, for scripts to write to.
type Conn struct {
	net.Conn
	server *Server
	number int
	tls    bool
	bound  string // the name of the last bind that succeeded
}

func (s *Server) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.connections++
		c := &Conn{Conn: raw, server: s, number: s.connections}
		s.open[raw] = true
		muted := s.muted
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				raw.Close()
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.open, raw)
			}()
			if muted {
				io.Copy(io.Discard, raw)
				return
			}
			c.serve()
		})
	}
}

// serve handles requests one after the other until the connection ends.
func (c *Conn) serve() {
	if !c.server.config.StartTLS && !c.server.config.Plain && !c.raise() {
		return
	}
	for {
		packet, err := ber.ReadPacket(c.Conn)
		if err != nil {
			return
		}
		r, ok := c.parse(packet)
		if !ok {
			return
		}
		script := c.server.begin(r)
		if script == nil || !script(c, r) {
			c.answer(r)
		}
		c.server.end()
	}
}

// raise starts TLS.
func (c *Conn) raise() bool {
	secured := tls.Server(c.Conn, c.server.tls)
	if secured.Handshake() != nil {
		return false
	}
	c.Conn, c.tls = secured, true
	return true
}

// parse reads a request (RFC 4511 section 4); ok is false at its end, an unbind.
func (c *Conn) parse(packet *ber.Packet) (r Request, ok bool) {
	if len(packet.Children) < 2 {
		return r, false
	}
	id, _ := packet.Children[0].Value.(int64)
	op := packet.Children[1]
	r = Request{Connection: c.number, ID: id, TLS: c.tls, Op: Other}
	switch op.Tag {
	case ldap.ApplicationUnbindRequest:
		return r, false
	case ldap.ApplicationBindRequest:
		r.Op, r.Name, r.Password = Bind, text(op.Children[1]), op.Children[2].Data.String()
	case ldap.ApplicationSearchRequest:
		scope, _ := op.Children[1].Value.(int64)
		filter, _ := ldap.DecompileFilter(op.Children[6])
		r.Op, r.Name, r.Scope, r.Filter, r.Node = Search, text(op.Children[0]), int(scope), filter, op.Children[6]
		for _, a := range op.Children[7].Children {
			r.Attributes = append(r.Attributes, text(a))
		}
		r.Page = len(packet.Children) > 2
	case ldap.ApplicationExtendedRequest:
		switch op.Children[0].Data.String() {
		case "1.3.6.1.4.1.1466.20037":
			r.Op = StartTLS
		case ldap.ControlTypeWhoAmI:
			r.Op = WhoAmI
		}
	}
	return r, true
}

func text(p *ber.Packet) string {
	s, _ := p.Value.(string)
	return s
}

// Hang reads without a response until the client closes the connection.
func (c *Conn) Hang() { io.Copy(io.Discard, c.Conn) }

// Result sends the final response of a request.
func (c *Conn) Result(r Request, code int, message string) {
	tags := map[Op]ber.Tag{Bind: ldap.ApplicationBindResponse, Search: ldap.ApplicationSearchResultDone}
	tag, known := tags[r.Op]
	if !known {
		tag = ldap.ApplicationExtendedResponse
	}
	c.Write(Message(r.ID, resultOf(tag, code, message)).Bytes())
}

// Identity answers a "Who am I?" with success and an identity.
func (c *Conn) Identity(r Request, identity string) {
	result := resultOf(ldap.ApplicationExtendedResponse, 0, "")
	result.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 11, identity, "responseValue"))
	c.Write(Message(r.ID, result).Bytes())
}

// Entry sends a search result entry.
func (c *Conn) Entry(r Request, e Entry) { c.Write(EntryMessage(r, e)) }

// EntryMessage encodes a search result entry.
func EntryMessage(r Request, e Entry) []byte { return Message(r.ID, e.packet(r.Attributes)).Bytes() }

// Message wraps an operation into an LDAP message.
func Message(id int64, op *ber.Packet) *ber.Packet {
	message := ber.NewSequence("LDAPMessage")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "messageID"))
	message.AppendChild(op)
	return message
}

func resultOf(tag ber.Tag, code int, message string) *ber.Packet {
	result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "result")
	result.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, "resultCode"))
	result.AppendChild(octets("", "matchedDN"))
	result.AppendChild(octets(message, "diagnosticMessage"))
	return result
}

func octets(s, what string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, what)
}
