package kerberos

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// ask gets a ticket from the KDC.
func (a *Account) ask(ctx context.Context, service string) (t ticket, err error) {
	defer func() {
		// What the network sends must not end the process, and this parser is not ours.
		if recover() != nil {
			err = fmt.Errorf("asking for a ticket for %s: keytab or answer cannot be read", service)
		}
	}()
	text, err := a.config.Keytab()
	if err != nil {
		return ticket{}, fmt.Errorf("reading keytab: %w", err)
	}
	keys, err := readKeys(text, a.name, a.realm)
	if err != nil {
		return ticket{}, err
	}
	realms, err := a.realms()
	if err != nil {
		return ticket{}, err
	}
	var granting messages.ASRep
	err = a.guard.Try(ctx, string(text), func() (err error) { // no other waits: see asking
		granting, err = a.grant(ctx, realms, keys)
		return explain(err)
	})
	if err != nil {
		return ticket{}, fmt.Errorf("signing in to Kerberos as %s: %w", a.config.Principal, err)
	}
	got, err := a.serve(ctx, realms, granting, service)
	if err != nil {
		return ticket{}, fmt.Errorf("asking for a ticket for %s: %w", service, explain(err))
	}
	return ticket{got.Ticket, got.DecryptedEncPart.Key, granting.CRealm, granting.CName, got.DecryptedEncPart.EndTime}, nil
}

// grant signs in (RFC 4120 section 3.1): the KDC names the types of the account's keys, and
// the account proves that it has one of them.
func (a *Account) grant(ctx context.Context, c *config.Config, keys *keytab.Keytab) (messages.ASRep, error) {
	who := credentials.New(a.name, a.realm).WithKeytab(keys)
	request, err := messages.NewASReqForTGT(a.realm, c, who.CName())
	if err != nil {
		return messages.ASRep{}, err
	}
	var answer messages.ASRep
	raw, err := a.send(ctx, c, &request)
	if refused, is := errors.AsType[messages.KRBError](err); is && refused.ErrorCode == errorcode.KDC_ERR_PREAUTH_REQUIRED {
		proof, proofErr := proofOfKey(who.CName(), a.realm, keys, refused.EData)
		if proofErr != nil {
			return answer, proofErr
		}
		request.PAData = append(request.PAData, proof)
		raw, err = a.send(ctx, c, &request)
	}
	if err != nil {
		return answer, err
	}
	if err := answer.Unmarshal(raw); err != nil {
		return answer, fmt.Errorf("reading answer of the KDC: %w", err)
	}
	if ok, err := answer.Verify(c, who, request); !ok {
		return answer, fmt.Errorf("answer of the KDC is not for the key of the keytab, or not for this question: %w", err)
	}
	return answer, nil
}

// proofOfKey makes an encrypted timestamp (RFC 4120 section 5.2.7.2) with the best key that
// keytab and KDC have.
func proofOfKey(name types.PrincipalName, realm string, keys *keytab.Keytab, offered []byte) (types.PAData, error) {
	var hints types.PADataSequence
	if err := hints.Unmarshal(offered); err != nil {
		return types.PAData{}, fmt.Errorf("reading answer of the KDC: %w", err)
	}
	for _, hint := range hints {
		if hint.PADataType != patype.PA_ETYPE_INFO2 {
			continue
		}
		known, err := hint.GetETypeInfo2()
		if err != nil {
			return types.PAData{}, fmt.Errorf("reading answer of the KDC: %w", err)
		}
		for _, entry := range known {
			key, version, err := keys.GetEncryptionKey(name, realm, 0, entry.EType)
			if err == nil && slices.Contains(aes(), entry.EType) {
				return timestamp(key, version)
			}
		}
	}
	return types.PAData{}, errNoAES
}

// errNoAES is what a KDC means that knows only other keys of the account than AES.
var errNoAES = messages.KRBError{ErrorCode: errorcode.KDC_ERR_ETYPE_NOSUPP, EText: "account and keytab have no AES key in common"}

func timestamp(key types.EncryptionKey, version int) (types.PAData, error) {
	now, err := types.GetPAEncTSEncAsnMarshalled()
	if err != nil {
		return types.PAData{}, err
	}
	sealed, err := crypto.GetEncryptedData(now, key, keyusage.AS_REQ_PA_ENC_TIMESTAMP, version)
	if err != nil {
		return types.PAData{}, err
	}
	raw, err := sealed.Marshal()
	return types.PAData{PADataType: patype.PA_ENC_TIMESTAMP, PADataValue: raw}, err
}

// serve gets a ticket for a service of the same realm (RFC 4120 section 3.3).
func (a *Account) serve(ctx context.Context, c *config.Config, granting messages.ASRep, service string) (messages.TGSRep, error) {
	var answer messages.TGSRep
	name := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, service)
	request, err := messages.NewTGSReq(granting.CName, a.realm, c, granting.Ticket, granting.DecryptedEncPart.Key, name, false)
	if err != nil {
		return answer, err
	}
	raw, err := a.send(ctx, c, &request)
	if err != nil {
		return answer, err
	}
	if err := answer.Unmarshal(raw); err != nil {
		return answer, fmt.Errorf("reading answer of the KDC: %w", err)
	}
	if err := answer.DecryptEncPart(granting.DecryptedEncPart.Key); err != nil {
		return answer, fmt.Errorf("reading answer of the KDC: %w", err)
	}
	if ok, err := answer.Verify(c, request); !ok {
		return answer, fmt.Errorf("answer of the KDC is not for this question: %w", err)
	}
	if !answer.Ticket.SName.Equal(name) {
		return answer, fmt.Errorf("the service is in another domain (%s): the web server must be in that of the account", answer.Ticket.SName.PrincipalNameString())
	}
	return answer, nil
}
