<?php
\Bitrix\Main\Loader::includeModule('im');
$res = \Bitrix\Im\chatTable::getList(['filter' => ['TITLE' => '%красный%']]);
$found = [];
while ($row = $res->fetch()) {
	$found[] = [$row['ID'], $row['TITLE'], $row['TYPE']];
}
echo json_encode(['found' => $found, 'none' => \Bitrix\Im\ChatTable::getList(['filter' => ['TITLE' => '%зелёный%']])->fetch()]);
