package samba

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"certportal/internal/test/daemon"
)

// Every domain has these people below World, whose entries are like those of old real
// domains. They are there in every test, so that a fault that one of them provokes for
// others is seen. Logins of the others are in worldPeople.
const (
	World = "OU=World," + Base

	// Unread is an account whose userAccountControl only the system may read.
	Unread = "CN=world-unread," + World

	// SharedMail is the mail address of Sharers accounts, world-shared01 and so on.
	SharedMail = "reception@mail.test"
	Sharers    = 21

	// OtherSuffix is a UPN suffix of the forest (uPNSuffixes), that of world-suffix.
	OtherSuffix = "mail.example.test"

	// LongUPN is the UPN of world-long, of 71 characters.
	LongUPN = "maximiliane.friederike.von-und-zu-hohenfels-wartenberg@" + Domain
)

// denyControl denies all people to read userAccountControl (schemaIDGUID).
const denyControl = "(OD;;RP;bf967a68-0de6-11d0-a285-00aa003049e2;;WD)"

// worldPeople returns the people below World.
func worldPeople() []User {
	people := []User{
		{Login: "world-unread", Name: "World Unread"},
		{Login: "world-suffix", Name: "World Suffix", UPN: "world.suffix@" + OtherSuffix},
		{Login: "world-long", Name: "Maximiliane von und zu Hohenfels-Wartenberg", UPN: LongUPN},
		{Login: "world-laptop", Name: "World Laptop"},
		{Login: "world-laptop$", UPN: "-", Computer: true},
		{Login: "world-idn", Name: "World Idn", Mail: "world-idn@bücher.example"},
		{Login: "world-blank", Name: "World Blank", Mail: "world-blank@mail.test "},
		{Login: "world-none", Name: "World None", Mail: "n/a"},
		{Login: "world-dots", Name: "World Dots", Mail: "world..dots@mail.test"},
		{Login: "world-smtp", Name: "World Smtp", Mail: "SMTP:world-smtp@mail.test"},
		{Login: "world-named", Name: "World Named", Mail: "World Named <world-named@mail.test>"},
	}
	for i := range Sharers {
		login := fmt.Sprintf("world-shared%02d", i+1)
		people = append(people, User{Login: login, Name: "World Shared", Mail: SharedMail})
	}
	return people
}

// addWorld adds the people and the suffix to the database files.
func addWorld(folder string) error {
	database := filepath.Join(folder, "private", "sam.ldb")
	var ldif strings.Builder
	ldif.WriteString("dn: " + World + "\nobjectClass: organizationalUnit\n\n")
	for _, u := range worldPeople() {
		ldif.WriteString(u.ldif())
	}
	add := exec.Command(daemon.Program("ldbadd"), "-H", database)
	add.Stdin = strings.NewReader(ldif.String())
	modify := exec.Command(daemon.Program("ldbmodify"), "-H", database)
	modify.Stdin = strings.NewReader("dn: CN=Partitions,CN=Configuration," + Base +
		"\nchangetype: modify\nadd: uPNSuffixes\nuPNSuffixes: " + OtherSuffix + "\n")
	deny := exec.Command(daemon.Program("samba-tool"), "dsacl", "set", "-H", database, "--objectdn="+Unread, "--sddl="+denyControl,
		"--configfile="+filepath.Join(folder, "etc", "smb.conf"))
	for _, cmd := range []*exec.Cmd{add, modify, deny} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("adding the world with %s: %w\n%s", cmd.Args[0], err, out)
		}
	}
	return nil
}

// ldif returns the entry of a user below World.
func (u User) ldif() string {
	class, control, name := "user", normalAccount, u.Login
	if u.Computer {
		class, control, name = "computer", 4096, strings.TrimSuffix(u.Login, "$")+"-computer"
	}
	lines := []string{"dn: CN=" + name + "," + World, "objectClass: " + class, "userAccountControl: " + strconv.Itoa(control)}
	value := func(attribute, text string) {
		if text != "" {
			lines = append(lines, attribute+":: "+base64.StdEncoding.EncodeToString([]byte(text)))
		}
	}
	switch u.UPN {
	case "":
		u.UPN = u.Login + "@" + Domain
	case "-":
		u.UPN = ""
	}
	value("sAMAccountName", u.Login)
	value("userPrincipalName", u.UPN)
	value("displayName", u.Name)
	value("mail", u.Mail)
	value("unicodePwd", unicodePassword(Password))
	return strings.Join(lines, "\n") + "\n\n"
}
