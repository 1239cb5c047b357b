package adcs

import "fmt"

// Words are what a server says in its language.
type Words struct {
	Issued, Pending, Denied string // disposition messages
}

// Words gives the messages in the language of the server, in the style of its web pages.
func (c *CA) Words(code uint32) Words {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.language {
	case "de":
		return Words{
			Issued: "Ausgestellt", Pending: "In Bearbeitung",
			Denied: fmt.Sprintf("Verweigert durch Richtlinienmodul  0x%x, Die Berechtigungen reichen nicht aus.", code),
		}
	case "fr":
		return Words{
			Issued: "Délivré", Pending: "Reçu en vue d’une révision",
			Denied: fmt.Sprintf("Refusé par le module de stratégie  0x%x, Les autorisations ne suffisent pas.", code),
		}
	}
	return Words{
		Issued: "Issued", Pending: "Taken Under Submission",
		Denied: fmt.Sprintf("Denied by Policy Module  0x%x, The permissions do not suffice.", code),
	}
}

// Language gives the language of the server.
func (c *CA) Language() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.language
}
