package deliver

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// The structures of RFC 7292 section 4 that lead to the key's bag. All other parts
// are raw values, so that they are encoded unchanged.
type (
	pfx struct {
		Version  int
		AuthSafe contentInfo
		Mac      macData
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue // [0] EXPLICIT
	}
	macData struct {
		Digest     digestInfo
		Salt       []byte
		Iterations int
	}
	digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Sum       []byte
	}
	safeBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue // [0] EXPLICIT
		Attributes []attribute   `asn1:"set,optional"`
	}
	attribute struct {
		ID     asn1.ObjectIdentifier
		Values asn1.RawValue // SET OF
	}
)

// setFriendlyName returns file, made by go-pkcs12 with [Iterations], with a
// friendlyName on its key. It decrypts nothing. A file with other iterations or more
// than one key is refused.
func setFriendlyName(file []byte, name, password string) ([]byte, error) {
	var p pfx
	if err := parse(file, &p); err != nil {
		return nil, fmt.Errorf("parsing PFX: %w", err)
	}
	// Never compute a number of iterations that an untrusted file names: it may be
	// two billion.
	if p.Mac.Iterations != Iterations {
		return nil, fmt.Errorf("parsing PFX: %d MAC iterations, want %d", p.Mac.Iterations, Iterations)
	}
	authSafe, err := p.AuthSafe.data()
	if err != nil {
		return nil, fmt.Errorf("parsing authenticated safe: %w", err)
	}
	if authSafe, err = setNameInSafe(authSafe, name); err != nil {
		return nil, err
	}
	if p.Mac.Digest.Sum, err = macSum(p.Mac, authSafe, password); err != nil {
		return nil, err
	}
	if p.AuthSafe, err = dataContent(authSafe); err != nil {
		return nil, fmt.Errorf("encoding authenticated safe: %w", err)
	}
	out, err := asn1.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding PFX: %w", err)
	}
	return out, nil
}

// setNameInSafe sets the name of the only key in an AuthenticatedSafe.
func setNameInSafe(authSafe []byte, name string) ([]byte, error) {
	var contents []contentInfo
	if err := parse(authSafe, &contents); err != nil {
		return nil, fmt.Errorf("parsing authenticated safe: %w", err)
	}
	keys := 0
	for i, content := range contents {
		if !content.Type.Equal(oidData()) {
			continue // encrypted: the certificates
		}
		bags, n, err := setNameInBags(content, name)
		if err != nil {
			return nil, err
		}
		contents[i], keys = bags, keys+n
	}
	if keys != 1 {
		return nil, fmt.Errorf("naming key in PKCS#12: %d shrouded keys, want 1", keys)
	}
	out, err := asn1.Marshal(contents)
	if err != nil {
		return nil, fmt.Errorf("encoding authenticated safe: %w", err)
	}
	return out, nil
}

// setNameInBags sets the name of each shrouded key of a SafeContents and counts them.
func setNameInBags(content contentInfo, name string) (contentInfo, int, error) {
	safe, err := content.data()
	if err != nil {
		return contentInfo{}, 0, fmt.Errorf("parsing safe contents: %w", err)
	}
	var bags []safeBag
	if err := parse(safe, &bags); err != nil {
		return contentInfo{}, 0, fmt.Errorf("parsing safe contents: %w", err)
	}
	keys := 0
	for i := range bags {
		if !bags[i].ID.Equal(oidShroudedKeyBag()) {
			continue
		}
		keys++
		if bags[i].named() {
			return contentInfo{}, 0, errors.New("naming key in PKCS#12: it has a name")
		}
		attr, err := friendlyName(name)
		if err != nil {
			return contentInfo{}, 0, fmt.Errorf("encoding friendlyName: %w", err)
		}
		bags[i].Attributes = append(bags[i].Attributes, attr)
	}
	if safe, err = asn1.Marshal(bags); err != nil {
		return contentInfo{}, 0, fmt.Errorf("encoding safe contents: %w", err)
	}
	named, err := dataContent(safe)
	return named, keys, err
}

// named reports whether a bag has a friendlyName. The attribute is single-valued:
// readers differ in which of two they use.
func (b safeBag) named() bool {
	return slices.ContainsFunc(b.Attributes, func(a attribute) bool { return a.ID.Equal(oidFriendlyName()) })
}

// friendlyName makes the attribute of RFC 2985 section 5.5.1, a SET of one BMPString.
// Characters beyond the BMP, such as emoji, are encoded as surrogate pairs. X.680 does
// not allow these, but all four importers read them.
func friendlyName(name string) (attribute, error) {
	value, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: bmpBytes(name)})
	if err != nil {
		return attribute{}, err
	}
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: value}
	return attribute{ID: oidFriendlyName(), Values: set}, nil
}

// data returns the content of a ContentInfo of type data.
func (c contentInfo) data() ([]byte, error) {
	if !c.Type.Equal(oidData()) {
		return nil, fmt.Errorf("content type %s is not data", c.Type)
	}
	if c.Content.Class != asn1.ClassContextSpecific || c.Content.Tag != 0 || !c.Content.IsCompound {
		return nil, errors.New("content is not explicitly tagged 0")
	}
	var octets []byte
	err := parse(c.Content.Bytes, &octets)
	return octets, err
}

// dataContent wraps bytes in a ContentInfo of type data.
func dataContent(b []byte) (contentInfo, error) {
	octets, err := asn1.Marshal(b)
	if err != nil {
		return contentInfo{}, err
	}
	explicit := asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: octets}
	return contentInfo{Type: oidData(), Content: explicit}, nil
}

// parse parses one DER value into v and refuses trailing bytes.
func parse(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the end", len(rest))
	}
	return nil
}

func oidData() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1} }

func oidFriendlyName() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
}

func oidShroudedKeyBag() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
}
