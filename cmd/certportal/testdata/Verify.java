import java.io.FileInputStream;
import java.security.cert.*;
import java.util.*;

// Verify checks chains as Java's own TLS does, with a list of every CA, and prints a line
// for each: java Verify.java ROOT LISTS CHAIN..., PEM files, the certificate first in CHAIN.
public class Verify {
    public static void main(String[] args) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        X509Certificate root;
        Collection<? extends CRL> lists;
        try (var file = new FileInputStream(args[0])) {
            root = (X509Certificate) factory.generateCertificate(file);
        }
        try (var file = new FileInputStream(args[1])) {
            lists = factory.generateCRLs(file);
        }
        for (String name : Arrays.copyOfRange(args, 2, args.length)) {
            PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));
            CertPathValidator validator = CertPathValidator.getInstance("PKIX");
            PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
            checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.PREFER_CRLS, PKIXRevocationChecker.Option.NO_FALLBACK));
            parameters.addCertPathChecker(checker);
            X509CertSelector client = new X509CertSelector();
            client.setExtendedKeyUsage(Set.of("1.3.6.1.5.5.7.3.2"));
            parameters.setTargetCertConstraints(client);
            try (var file = new FileInputStream(name)) {
                validator.validate(factory.generateCertPath(new ArrayList<>(factory.generateCertificates(file))), parameters);
                System.out.println("accepted");
            } catch (CertPathValidatorException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }
}
