package kerberos

import (
	"encoding/asn1"
	"encoding/binary"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

func oidKerberos() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2} }
func oidSPNEGO() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2} }

// token makes the first message of SPNEGO (RFC 4178 section 4.2.1), which offers Kerberos
// only and has the message to the service in it (RFC 4121 section 4.1).
func (t ticket) token(channel []byte) ([]byte, error) {
	auth, err := types.NewAuthenticator(t.realm, t.client)
	if err != nil {
		return nil, fmt.Errorf("making token of Kerberos: %w", err)
	}
	kind, err := crypto.GetEtype(t.key.KeyType)
	if err != nil {
		return nil, fmt.Errorf("making token of Kerberos: %w", err)
	}
	if err := auth.GenerateSeqNumberAndSubKey(t.key.KeyType, kind.GetKeyByteSize()); err != nil {
		return nil, fmt.Errorf("making token of Kerberos: %w", err)
	}
	auth.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: checksum(channel)}
	request, err := messages.NewAPReq(t.ticket, t.key, auth)
	if err != nil {
		return nil, fmt.Errorf("making token of Kerberos: %w", err)
	}
	raw, err := request.Marshal()
	if err != nil {
		return nil, fmt.Errorf("making token of Kerberos: %w", err)
	}
	var inner, b cryptobyte.Builder
	mechanism(&inner, oidKerberos(), append([]byte{1, 0}, raw...)) // 1, 0: KRB_AP_REQ
	message, err := inner.Bytes()
	if err != nil {
		return nil, fmt.Errorf("making token of Kerberos: %w", err)
	}
	mechanism(&b, oidSPNEGO(), offer(message))
	return b.Bytes()
}

// offer is a NegTokenInit.
func offer(message []byte) []byte {
	var b cryptobyte.Builder
	tagged(&b, 0, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			tagged(b, 0, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidKerberos()) })
			})
			tagged(b, 2, func(b *cryptobyte.Builder) { b.AddASN1OctetString(message) })
		})
	})
	return b.BytesOrPanic() // fails for object identifiers only, and this one is right
}

// mechanism frames a token with the mechanism it is of (RFC 2743 section 3.1).
func mechanism(b *cryptobyte.Builder, id asn1.ObjectIdentifier, token []byte) {
	b.AddASN1(der.Tag(0).Constructed()|0x40, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddBytes(token)
	})
}

func tagged(b *cryptobyte.Builder, n uint8, add cryptobyte.BuilderContinuation) {
	b.AddASN1(der.Tag(n).ContextSpecific().Constructed(), add)
}

// What the client may ask for with the session (RFC 2744 section 3.9). Nothing is signed or
// encrypted with it here, but servers know no client without.
const flagConfidentiality, flagIntegrity = 0x10, 0x20

// checksum is that of RFC 4121 section 4.1.1, with the channel binding.
func checksum(channel []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(channel)))
	b = append(b, channel...)
	return binary.LittleEndian.AppendUint32(b, flagConfidentiality|flagIntegrity)
}
