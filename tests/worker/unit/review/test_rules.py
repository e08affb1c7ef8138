"""Each rule finds a planted defect in each of its languages."""

import pytest

from tests.support.unit.review import findings_in
from worker.review.language import MARKUP, PROGRAMMING, Language, language_by_path
from worker.review.rules import RULES

#: The defects of a rule, one in each of its languages. Languages that share a grammar share them.
DEFECTS: dict[str, dict[str, str]] = {
    "eval": {
        "a.js": "eval(text)",
        "a.php": "<?php eval($text);",
        "a.rb": "eval(text)",
        "a.lua": "local function f(text) return load(text)() end",
        "a.sh": "eval $text",
    },
    "new-function": {"a.js": "const f = new Function('a', text)"},
    "inner-html": {"a.js": "node.innerHTML = text"},
    "document-write": {"a.js": "document.write(text)"},
    "dangerous-html": {"a.js": "const a = <b dangerouslySetInnerHTML={{__html: x}} />"},
    "empty-catch": {
        "a.js": "try { f() } catch (e) { }",
        "A.java": "class A { void f() { try { g(); } catch (E e) { } } }",
        "a.kt": "fun f() { try { g() } catch (e: Exception) { } }",
        "a.scala": "object A { def f() = try { g() } catch { case e: Exception => } }",
        "a.cs": "class A { void F() { try { G(); } catch (E e) { } } }",
        "a.php": "<?php try { f(); } catch (E $e) { }",
        "a.cpp": "void f() { try { g(); } catch (...) { } }",
        "a.swift": "func f() { do { try g() } catch { } }",
    },
    "assignment-in-condition": {
        "a.js": "if (a = 1) { f() }",
        "a.c": "void f() { if (a = 1) { g(); } }",
        "a.cpp": "void f() { if (a = b) { g(); } }",
    },
    "loose-equality": {"a.js": "if (a == 1) { f() }"},
    "compares-with-nan": {"a.js": "if (a === NaN) { f() }", "a.lua": "if a == 0/0 then f() end"},
    "debugger": {"a.js": "debugger", "a.rb": "binding.pry"},
    "async-foreach": {"a.js": "xs.forEach(async (x) => { await f(x) })"},
    "sql-from-text": {
        "a.js": "db.query(`SELECT * FROM t WHERE id = ${id}`)",
        "a.php": '<?php $db->query("SELECT * FROM t WHERE id = $id");',
        "A.java": 'class A { void f() { s.executeQuery("SELECT * FROM t WHERE id = " + id); } }',
        "a.kt": 'fun f() { db.rawQuery("SELECT * FROM t WHERE id = $id") }',
        "a.scala": 'object A { def f(id: Int) = run(s"SELECT * FROM t WHERE id = $id") }',
        "a.cs": 'class A { void F() { new SqlCommand($"SELECT * FROM t WHERE id = {id}"); } }',
        "a.go": 'package a\nfunc f() { db.Query("SELECT * FROM t WHERE id = " + id) }',
        "a.rs": 'fn f() { run(format!("SELECT * FROM t WHERE id = {}", id)); }',
        "a.swift": 'func f() { run("SELECT * FROM t WHERE id = \\(id)") }',
        "a.rb": 'User.where("id = #{id}")',
        "a.lua": 'db:query("SELECT * FROM t WHERE id = " .. id)',
    },
    "shell-command": {
        "a.js": "exec(`rm ${name}`)",
        "a.php": "<?php system('rm ' . $name);",
        "A.java": 'class A { void f() { Runtime.getRuntime().exec("rm " + name); } }',
        "a.c": "void f() { system(text); }",
        "a.go": 'package a\nfunc f() { exec.Command("sh", "-c", "rm "+name) }',
        "a.rb": 'system("rm #{name}")',
        "a.lua": 'os.execute("rm " .. name)',
    },
    "insecure-tls": {
        "a.js": "https.get({ rejectUnauthorized: false })",
        "a.cs": "class A { void F() { h.ServerCertificateCallback = (a, b) => true; } }",
        "a.go": "package a\nvar c = tls.Config{InsecureSkipVerify: true}",
        "a.sh": "curl -k https://a.example/",
    },
    "prints-request": {"a.php": "<?php echo $_GET['name'];"},
    "includes-request": {"a.php": "<?php include $_GET['page'];"},
    "unserialize": {"a.php": "<?php $a = unserialize($text);"},
    "weak-hash": {
        "a.php": "<?php $a = md5($password);",
        "A.java": 'class A { void f() { MessageDigest.getInstance("MD5"); } }',
        "a.cs": "class A { void F() { MD5.Create(); } }",
        "a.go": "package a\nfunc f() { md5.New() }",
    },
    "insecure-resource": {
        "a.html": '<script src="http://a.example/a.js"></script>',
        "a.css": "a { background: url(http://a.example/a.png); }",
    },
    "script-url": {"a.html": '<a href="javascript:run()">a</a>'},
    "inline-handler": {"a.html": '<button onclick="run()">a</button>'},
    "unprotected-opener": {"a.html": '<a href="https://a.example" target="_blank">a</a>'},
    "missing-alt": {"a.html": '<img src="a.png">'},
    "missing-lang": {"a.html": "<html><body></body></html>"},
    "code-in-style": {"a.css": "a { background: url(javascript:run()); }"},
    "invalid-color": {"a.css": "a { color: #12345; }"},
    "removes-outline": {"a.css": "a:focus { outline: none; }"},
    "empty-rule": {"a.css": "a { }"},
    "prints-stack-trace": {
        "A.java": "class A { void f() { e.printStackTrace(); } }",
        "a.kt": "fun f() { e.printStackTrace() }",
    },
    "compares-texts-by-identity": {"A.java": 'class A { boolean f() { return a == "x"; } }'},
    "deserialization": {
        "A.java": "class A { void f() { new ObjectInputStream(in); } }",
        "a.cs": "class A { void F() { new BinaryFormatter(); } }",
        "a.rb": "Marshal.load(text)",
    },
    "force-unwrap": {"a.kt": "fun f() { g(a!!) }", "a.swift": "func f() { g(a!) }"},
    "global-scope": {"a.kt": "fun f() { GlobalScope.launch { g() } }"},
    "option-get": {"a.scala": "object A { def f = g(a.get) }"},
    "unbounded-wait": {"a.scala": "object A { def f = Await.result(a, Duration.Inf) }"},
    "unchecked-cast": {"a.scala": "object A { def f = a.asInstanceOf[B] }"},
    "async-void": {"a.cs": "class A { async void F() { await G(); } }"},
    "rethrow": {"a.cs": "class A { void F() { try { G(); } catch (E ex) { throw ex; } } }"},
    "gets": {"a.c": "void f() { gets(line); }"},
    "unbounded-copy": {"a.c": "void f() { strcpy(a, b); }"},
    "format-from-value": {"a.c": "void f() { printf(text); }"},
    "predictable-file": {"a.c": "void f() { mktemp(name); }", "a.sh": 'echo a > "/tmp/a.$$"'},
    "ignored-error": {
        "a.go": "package a\nfunc f() { x, _ := g(); use(x) }",
        "a.lua": "pcall(f)",
    },
    "empty-error-check": {"a.go": "package a\nfunc f() { if err != nil {} }"},
    "defer-in-loop": {"a.go": "package a\nfunc f() { for { defer g() } }"},
    "unwrap": {"a.rs": "fn f() { g().unwrap(); }"},
    "unsafe": {"a.rs": "fn f() { unsafe { g() } }"},
    "unfinished": {"a.rs": "fn f() { todo!() }"},
    "mutable-static": {"a.rs": "static mut A: u8 = 1;"},
    "transmute": {"a.rs": "fn f() { std::mem::transmute::<A, B>(a) }"},
    "force-try": {"a.swift": "func f() { try! g() }"},
    "force-cast": {"a.swift": "func f() { let a = b as! C }"},
    "blocks-main-queue": {"a.swift": "func f() { DispatchQueue.main.sync { g() } }"},
    "stores-secret": {"a.swift": 'func f() { UserDefaults.standard.set(a, forKey: "password") }'},
    "origin-authorization": {
        "a.sol": "contract A { function f() public { require(tx.origin == owner); } }"
    },
    "unchecked-call": {"a.sol": 'contract A { function f() public { a.call{value: 1}(""); } }'},
    "delegatecall": {
        "a.sol": "contract A { function f() public { (bool ok,) = a.delegatecall(b); } }"
    },
    "selfdestruct": {"a.sol": "contract A { function f() public { selfdestruct(a); } }"},
    "predictable-random": {
        "a.sol": "contract A { function f() public { g(keccak256(abi.encode(block.timestamp))); } }"
    },
    "floating-pragma": {"a.sol": "pragma solidity ^0.8.0;"},
    "empty-rescue": {"a.rb": "begin\n  f\nrescue => e\nend"},
    "rescues-everything": {"a.rb": "begin\n  f\nrescue Exception => e\n  log e\nend"},
    "loop-from-zero": {"a.lua": "for i = 0, #xs do f(xs[i]) end"},
    "pipe-to-shell": {"a.sh": "curl -s https://x.test/i | sh"},
    "removes-a-variable": {"a.sh": "rm -rf $FOLDER/x"},
    "open-permissions": {"a.sh": "chmod -R 777 /srv"},
    "loops-over-ls": {"a.sh": "for f in $(ls); do rm $f; done"},
}
FAMILIES = {"javascript": ("a.js", "a.ts", "a.tsx"), "c": ("a.c", "a.cpp")}


def defects() -> list[tuple[str, str, str]]:
    found: dict[tuple[str, str], str] = {}
    for rule, texts in DEFECTS.items():
        for path, text in texts.items():
            language = language_by_path(path)
            assert language is not None
            for name in FAMILIES.get(language.name, (path,)):
                found.setdefault((rule, name), text)
    languages = {(rule.name, name) for rule in RULES for name in rule.languages}
    return [
        (rule, path, text)
        for (rule, path), text in found.items()
        if (language := language_by_path(path)) and (rule, language.name) in languages
    ]


@pytest.mark.parametrize(("rule", "path", "text"), defects())
def test_rule_finds_its_defect(rule: str, path: str, text: str) -> None:
    found = {finding.rule for finding in findings_in(path, text)}

    assert f"shape:{rule}" in found
    assert "shape:syntax" not in found


def test_each_rule_is_tested_in_each_language() -> None:
    tested = {
        (rule, language.name) for rule, path, _ in defects() if (language := language_by_path(path))
    }

    assert {(rule.name, name) for rule in RULES for name in rule.languages} == tested


@pytest.mark.parametrize("language", [*PROGRAMMING, *MARKUP], ids=lambda language: language.name)
def test_each_analyzed_language_has_checks(language: Language) -> None:
    broken = {"python": "print(eval(input()))\n", "json": '{"a": }', "yaml": "a: [1\nb: }"}
    names = {rule.name for rule in RULES if language.name in rule.languages}

    assert len(names) >= 5 or findings_in(f"a.{language.extensions[0]}", broken[language.name])
