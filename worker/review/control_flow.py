"""The functions and control structures of each language, by their names in the syntax tree."""

from typing import NamedTuple


class ControlFlow(NamedTuple):
    """The kinds of syntax nodes of one language that determine the complexity of a function."""

    #: Named functions, and anonymous functions that are commonly as long as named ones. Shorter
    #: closures belong to the function around them.
    functions: frozenset[str]
    #: Structures that increase the nesting of what they contain.
    nesting: frozenset[str]
    #: Nodes that add a path. Boolean operators count as well.
    decisions: frozenset[str]
    #: Branches of a `switch` or `match`, which add a path unless they are the default.
    branches: frozenset[str] = frozenset()


def _kinds(names: str) -> frozenset[str]:
    return frozenset(names.split())


_JS = ControlFlow(
    functions=_kinds(
        "function_declaration generator_function_declaration function_expression"
        " generator_function arrow_function method_definition"
    ),
    nesting=_kinds(
        "if_statement for_statement for_in_statement while_statement do_statement"
        " switch_statement try_statement"
    ),
    decisions=_kinds(
        "if_statement for_statement for_in_statement while_statement do_statement"
        " catch_clause ternary_expression"
    ),
    branches=_kinds("switch_case"),
)
_C = ControlFlow(
    functions=_kinds("function_definition"),
    nesting=_kinds("if_statement for_statement while_statement do_statement switch_statement"),
    decisions=_kinds(
        "if_statement for_statement while_statement do_statement conditional_expression"
    ),
    branches=_kinds("case_statement"),
)

CONTROL_FLOW = {
    "python": ControlFlow(
        functions=_kinds("function_definition"),
        nesting=_kinds("if_statement for_statement while_statement match_statement try_statement"),
        decisions=_kinds(
            "if_statement elif_clause for_statement while_statement except_clause"
            " conditional_expression for_in_clause if_clause"
        ),
        branches=_kinds("case_clause"),
    ),
    "javascript": _JS,
    "typescript": _JS,
    "tsx": _JS,
    "java": ControlFlow(
        functions=_kinds(
            "method_declaration constructor_declaration compact_constructor_declaration"
        ),
        nesting=_kinds(
            "if_statement for_statement enhanced_for_statement while_statement do_statement"
            " switch_expression try_statement try_with_resources_statement"
        ),
        decisions=_kinds(
            "if_statement for_statement enhanced_for_statement while_statement do_statement"
            " catch_clause ternary_expression"
        ),
        branches=_kinds("switch_label"),
    ),
    "kotlin": ControlFlow(
        functions=_kinds("function_declaration secondary_constructor getter setter"),
        nesting=_kinds(
            "if_expression for_statement while_statement do_while_statement when_expression"
            " try_expression"
        ),
        decisions=_kinds(
            "if_expression for_statement while_statement do_while_statement catch_block"
        ),
        branches=_kinds("when_entry"),
    ),
    "scala": ControlFlow(
        functions=_kinds("function_definition"),
        nesting=_kinds(
            "if_expression for_expression while_expression do_while_expression match_expression"
            " try_expression"
        ),
        decisions=_kinds("if_expression for_expression while_expression do_while_expression"),
        branches=_kinds("case_clause"),
    ),
    "go": ControlFlow(
        functions=_kinds("function_declaration method_declaration func_literal"),
        nesting=_kinds(
            "if_statement for_statement expression_switch_statement type_switch_statement"
            " select_statement"
        ),
        decisions=_kinds("if_statement for_statement"),
        branches=_kinds("expression_case type_case communication_case"),
    ),
    "rust": ControlFlow(
        functions=_kinds("function_item"),
        nesting=_kinds(
            "if_expression for_expression while_expression loop_expression match_expression"
        ),
        decisions=_kinds("if_expression for_expression while_expression loop_expression"),
        branches=_kinds("match_arm"),
    ),
    "c": _C,
    "cpp": ControlFlow(
        functions=_C.functions,
        nesting=_C.nesting | _kinds("for_range_loop try_statement"),
        decisions=_C.decisions | _kinds("for_range_loop catch_clause"),
        branches=_C.branches,
    ),
    "csharp": ControlFlow(
        functions=_kinds(
            "method_declaration constructor_declaration destructor_declaration"
            " operator_declaration local_function_statement accessor_declaration"
        ),
        nesting=_kinds(
            "if_statement for_statement foreach_statement while_statement do_statement"
            " switch_statement switch_expression try_statement"
        ),
        decisions=_kinds(
            "if_statement for_statement foreach_statement while_statement do_statement"
            " catch_clause conditional_expression"
        ),
        branches=_kinds("switch_section switch_expression_arm"),
    ),
    "ruby": ControlFlow(
        functions=_kinds("method singleton_method"),
        nesting=_kinds("if unless for while until case case_match begin"),
        decisions=_kinds(
            "if unless elsif for while until rescue conditional"
            " if_modifier unless_modifier while_modifier until_modifier"
        ),
        branches=_kinds("when in_clause"),
    ),
    "php": ControlFlow(
        functions=_kinds("function_definition method_declaration anonymous_function"),
        nesting=_kinds(
            "if_statement for_statement foreach_statement while_statement do_statement"
            " switch_statement match_expression try_statement"
        ),
        decisions=_kinds(
            "if_statement else_if_clause for_statement foreach_statement while_statement"
            " do_statement catch_clause conditional_expression"
        ),
        branches=_kinds("case_statement match_conditional_expression"),
    ),
    "swift": ControlFlow(
        functions=_kinds("function_declaration init_declaration deinit_declaration"),
        nesting=_kinds(
            "if_statement for_statement while_statement repeat_while_statement switch_statement"
            " do_statement"
        ),
        decisions=_kinds(
            "if_statement guard_statement for_statement while_statement repeat_while_statement"
            " catch_block ternary_expression"
        ),
        branches=_kinds("switch_entry"),
    ),
    "lua": ControlFlow(
        functions=_kinds("function_declaration function_definition"),
        nesting=_kinds("if_statement for_statement while_statement repeat_statement"),
        decisions=_kinds(
            "if_statement elseif_statement for_statement while_statement repeat_statement"
        ),
    ),
    "solidity": ControlFlow(
        functions=_kinds(
            "function_definition constructor_definition modifier_definition"
            " fallback_receive_definition"
        ),
        nesting=_kinds(
            "if_statement for_statement while_statement do_while_statement try_statement"
        ),
        decisions=_kinds(
            "if_statement for_statement while_statement do_while_statement catch_clause"
            " ternary_expression"
        ),
    ),
    "bash": ControlFlow(
        functions=_kinds("function_definition"),
        nesting=_kinds(
            "if_statement for_statement c_style_for_statement while_statement case_statement"
        ),
        decisions=_kinds(
            "if_statement elif_clause for_statement c_style_for_statement while_statement"
        ),
        branches=_kinds("case_item"),
    ),
}
