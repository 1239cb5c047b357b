// Parses scripts of PowerShell, a JSON list from standard input, with the grammar in the folder
// of the first argument. Prints for each the errors, the types of all nodes in their order, and
// the verbatim strings.
const path = require('path');
const folder = process.argv[1];
const treeSitter = require(path.join(folder, 'tree-sitter.js'));

(async () => {
  const Parser = treeSitter.Parser || treeSitter;
  await Parser.init({ locateFile: (name) => path.join(folder, name) });
  const Language = treeSitter.Language || Parser.Language;
  const parser = new Parser();
  parser.setLanguage(await Language.load(path.join(folder, 'tree-sitter-powershell.wasm')));
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) text += chunk;
  console.log(JSON.stringify(JSON.parse(text).map((script) => {
    const result = { errors: [], shape: [], strings: [] };
    const walk = (node) => {
      if (node.isError || node.isMissing) result.errors.push(`line ${node.startPosition.row + 1}: ${node.text.slice(0, 120)}`);
      result.shape.push(node.type);
      if (node.type === 'verbatim_string_characters') result.strings.push(node.text);
      for (let i = 0; i < node.childCount; i++) walk(node.child(i));
    };
    walk(parser.parse(script.replace(/^\uFEFF/, '').replace(/\r\n/g, '\n')).rootNode);
    return result;
  })));
})();
